"""Table of contents: network architectures by the name a study gives them. Imported lazily."""

METHODS = {
    "digits_cnn": "rs.models.digits_cnn:DigitsCnn",
    "lenet": "rs.models.lenet:LeNet",
    "nal_cnn": "rs.models.nal_cnn:NalCnn",
    "resnet18": "rs.models.resnet18:ResNet18",
    "resnet20": "rs.models.cifar_resnet:ResNet20",
    "resnet50": "rs.models.resnet50:ResNet50",
    "resnet56": "rs.models.cifar_resnet:ResNet56",
    "resnet110": "rs.models.cifar_resnet:ResNet110",
    "stn_cifar": "rs.models.stn_cifar:StnCifar",
    "stn_mnist": "rs.models.stn_mnist:StnMnist",
    "vgg16": "rs.models.vgg16:Vgg16",
}
