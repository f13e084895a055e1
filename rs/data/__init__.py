"""Table of contents: data sets by the name a study gives them. Imported lazily."""

METHODS = {
    "cifar10": "rs.data.cifar10:Cifar10",
    "digits": "rs.data.digits:Digits",
    "image-folder": "rs.data.image_folder:ImageFolder",
    "image-parquet": "rs.data.image_parquet:ImageParquet",
    "imagenet": "rs.data.imagenet:ImageNet",
    "mnist": "rs.data.mnist:Mnist",
    "svhn": "rs.data.svhn:Svhn",
    "tiny-imagenet": "rs.data.tiny_imagenet:TinyImageNet",
}
