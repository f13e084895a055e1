"""Table of contents: data sets by the name a study gives them. Imported lazily."""

METHODS = {
    "digits": "rs.data.digits:Digits",
    "mnist": "rs.data.mnist:Mnist",
}
