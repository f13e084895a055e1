"""Table of contents: noise families by the name a study gives them. Imported lazily."""

METHODS = {
    "gaussian": "rs.noise.gaussian:Gaussian",
    "laplace": "rs.noise.laplace:Laplace",
    "mixed_norm": "rs.noise.mixed_norm:MixedNorm",
    "none": "rs.noise.none:NoNoise",
    "spherical": "rs.noise.spherical:Spherical",
    "sup_norm": "rs.noise.sup_norm:SupNorm",
    "uniform": "rs.noise.uniform:Uniform",
}
