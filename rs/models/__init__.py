"""Table of contents: network architectures by the name a study gives them. Imported lazily."""

METHODS = {
    "digits_cnn": "rs.models.digits_cnn:DigitsCnn",
    "lenet": "rs.models.lenet:LeNet",
    "nal_cnn": "rs.models.nal_cnn:NalCnn",
}
