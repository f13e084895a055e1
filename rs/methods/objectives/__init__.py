"""Table of contents: training objectives by the name a study gives them. Imported lazily."""

METHODS = {
    "adre": "rs.methods.objectives.adre:Adre",
    "adre_adv": "rs.methods.objectives.adre_adv:AdreAdv",
    "clean": "rs.methods.objectives.clean:Clean",
    "consistency": "rs.methods.objectives.consistency:Consistency",
    "denoiser_mse": "rs.methods.objectives.denoiser_mse:DenoiserMse",
    "denoiser_stability": "rs.methods.objectives.denoiser_stability:DenoiserStability",
    "gaussian": "rs.methods.objectives.gaussian:GaussianTraining",
    "macer": "rs.methods.objectives.macer:Macer",
    "nal": "rs.methods.objectives.nal:Nal",
    "pgd": "rs.methods.objectives.pgd:Pgd",
    "smoothadv": "rs.methods.objectives.smoothadv:SmoothAdv",
    "smoothmix": "rs.methods.objectives.smoothmix:SmoothMix",
    "stability": "rs.methods.objectives.stability:Stability",
    "trades": "rs.methods.objectives.trades:Trades",
    "wrm": "rs.methods.objectives.wrm:Wrm",
}
