"""Table of contents: training objectives by the name a study gives them. Imported lazily."""

METHODS = {
    "adre": "rs.objectives.adre:Adre",
    "adre_adv": "rs.objectives.adre_adv:AdreAdv",
    "clean": "rs.objectives.clean:Clean",
    "consistency": "rs.objectives.consistency:Consistency",
    "gaussian": "rs.objectives.gaussian:GaussianTraining",
    "macer": "rs.objectives.macer:Macer",
    "nal": "rs.objectives.nal:Nal",
    "pgd": "rs.objectives.pgd:Pgd",
    "smoothadv": "rs.objectives.smoothadv:SmoothAdv",
    "smoothmix": "rs.objectives.smoothmix:SmoothMix",
    "stability": "rs.objectives.stability:Stability",
    "trades": "rs.objectives.trades:Trades",
    "wrm": "rs.objectives.wrm:Wrm",
}
