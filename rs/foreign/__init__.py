"""Anybody's classifier: from the name of a model and a folder of images to certified radii (`rs certify
--model`, docs/certify-model.md).

Each source of models is a file (`sources.SOURCES` lists them). A model's description of its input is split
into the part before the noise and the part behind it (`preprocessing`). The engine of `rs.smooth` draws
votes, and `votes` stores them as they come.
"""
