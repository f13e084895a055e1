"""Table of contents: network architectures by the name a study gives them. Imported lazily."""

METHODS = {
    "denoised": "rs.networks.denoised:Denoised",
    "digits_cnn": "rs.methods.models.digits_cnn:DigitsCnn",
    "dncnn": "rs.methods.models.dncnn:DnCnn",
    "ensemble": "rs.networks.ensemble:Ensemble",
    "lenet": "rs.methods.models.lenet:LeNet",
    "nal_cnn": "rs.methods.models.nal_cnn:NalCnn",
    "resnet18": "rs.methods.models.resnet18:ResNet18",
    "resnet20": "rs.methods.models.cifar_resnet:ResNet20",
    "resnet50": "rs.methods.models.resnet50:ResNet50",
    "resnet56": "rs.methods.models.cifar_resnet:ResNet56",
    "resnet110": "rs.methods.models.cifar_resnet:ResNet110",
    "stn_cifar": "rs.methods.models.stn_cifar:StnCifar",
    "stn_mnist": "rs.methods.models.stn_mnist:StnMnist",
    "vgg16": "rs.methods.models.vgg16:Vgg16",
}
