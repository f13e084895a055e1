"""Table of contents: data sets by the name a study gives them. Imported lazily."""

METHODS = {
    "cifar10": "rs.methods.data.cifar10:Cifar10",
    "digits": "rs.methods.data.digits:Digits",
    "image-folder": "rs.methods.data.image_folder:ImageFolder",
    "image-parquet": "rs.methods.data.image_parquet:ImageParquet",
    "imagenet": "rs.methods.data.imagenet:ImageNet",
    "mnist": "rs.methods.data.mnist:Mnist",
    "svhn": "rs.methods.data.svhn:Svhn",
    "tiny-imagenet": "rs.methods.data.tiny_imagenet:TinyImageNet",
}
