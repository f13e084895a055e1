"""Table of contents: noise families by the name a study gives them. Imported lazily, so this stays free of torch."""

METHODS = {
    "gaussian": "rs.noise.gaussian:Gaussian",
    "none": "rs.noise.none:NoNoise",
}
