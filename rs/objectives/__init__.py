"""Table of contents: training objectives by the name a study gives them. Imported lazily."""

METHODS = {
    "gaussian": "rs.objectives.gaussian:GaussianTraining",
    "macer": "rs.objectives.macer:Macer",
    "nal": "rs.objectives.nal:Nal",
    "smoothadv": "rs.objectives.smoothadv:SmoothAdv",
    "stability": "rs.objectives.stability:Stability",
}
