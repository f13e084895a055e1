"""Table of contents: noise families by the name a study gives them. Imported lazily."""

METHODS = {
    "gaussian": "rs.methods.noise.gaussian:Gaussian",
    "laplace": "rs.methods.noise.laplace:Laplace",
    "mixed_norm": "rs.methods.noise.mixed_norm:MixedNorm",
    "none": "rs.methods.noise.none:NoNoise",
    "spherical": "rs.methods.noise.spherical:Spherical",
    "sup_norm": "rs.methods.noise.sup_norm:SupNorm",
    "uniform": "rs.methods.noise.uniform:Uniform",
}
