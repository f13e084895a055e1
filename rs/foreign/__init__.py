"""Anybody's classifier: from the name of a model and a folder of images to certified radii
(`rs certify --model`, docs/certify-model.md).

Sources of models are a file each (`sources.SOURCES` is their table of contents). What a model's description
says of its input is split at the noise (`preprocessing`). Votes are drawn by the engine of `rs.smooth` and
kept as they come (`votes`).
"""
