"""The networks: `MODELS` by name, and the adapters that make a `Model` of anyone's Flax module.

A model is two pure functions, `init` and `apply`, and the names of its layers: methods see nothing else of a network.
This is the only folder that imports Flax. It imports `parts` and the contract; never the engine or a method.

Read `mlp` first, then `linen`, which makes a `Model` of a Linen module, and `modules`, the layers of ours.
"""

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import jax

from junlearn.models.allcnn import AllCnnConfig, make_allcnn
from junlearn.models.cifar_resnet import CifarResNetConfig, make_cifar_resnet
from junlearn.models.cnn import LafCnnConfig, SmallCnnConfig, make_laf_cnn, make_small_cnn
from junlearn.models.linen import from_linen
from junlearn.models.mlp import MlpConfig, make_mlp
from junlearn.models.resnet import ResNetConfig, make_resnet
from junlearn.models.resnet9 import ResNet9Config, make_resnet9
from junlearn.models.vgg import Vgg11Config, Vgg16BnConfig, make_vgg11, make_vgg16
from junlearn.models.vit import VitBase16Config, VitConfig, make_vit
from junlearn.models.weight_tables import Row, Table
from junlearn.models.weights import load_weights
from junlearn.models.wide_resnet import WideResNetConfig, make_wide_resnet
from junlearn.types import Component, Variables

if TYPE_CHECKING:
    from junlearn.models.nnx import from_nnx

__all__ = ["MODELS", "Row", "Table", "count_parameters", "from_linen", "from_nnx", "load_weights"]

MODELS: dict[str, Component] = {
    "mlp": Component("dense layers with ReLU on the flattened image", MlpConfig, make_mlp),
    "small_cnn": Component(
        "3×3 convolutions with BatchNorm, two by default, for small images",
        SmallCnnConfig,
        make_small_cnn,
    ),
    "laf_cnn": Component(
        "two 5×5 convolutions and a linear embedding (LAF and CaMU on MNIST)",
        LafCnnConfig,
        make_laf_cnn,
    ),
    "resnet18": Component(
        "ResNet-18 with the 3×3 stem for 32×32 images (SSD, JiT)",
        ResNetConfig,
        partial(make_resnet, stem="cifar"),
    ),
    "resnet18_imagenet": Component(
        "ResNet-18 as in torchvision, for 224×224 images (CaMU; LAF with embedding=256)",
        ResNetConfig,
        partial(make_resnet, stem="imagenet"),
    ),
    **{
        f"resnet{depth}{suffix}": Component(
            f"ResNet-{depth} {how}",
            ResNetConfig,
            partial(make_resnet, stem=stem, depth=depth),
        )
        for depth in (34, 50)
        for suffix, stem, how in (
            ("", "cifar", "with the 3×3 stem (SCAR)"),
            ("_imagenet", "imagenet", "as in torchvision, for 224×224 images"),
        )
    },
    "resnet9": Component(
        "ResNet-9 with CELU, for 32×32 images (corrective unlearning)", ResNet9Config, make_resnet9
    ),
    **{
        f"resnet{depth}": Component(
            f"ResNet-{depth} of 16 to 64 channels, for 32×32 images (corrective unlearning)",
            CifarResNetConfig,
            partial(make_cifar_resnet, depth=depth),
        )
        for depth in (20, 32, 44, 56, 110)
    },
    "wide_resnet": Component(
        "WRN-28-10, or another depth and width (Zagoruyko and Komodakis)",
        WideResNetConfig,
        partial(make_wide_resnet, form="standard"),
    ),
    "wide_resnet_corrective": Component(
        "WRN-28-10 without BatchNorm at its ends (corrective unlearning)",
        WideResNetConfig,
        partial(make_wide_resnet, form="corrective"),
    ),
    "allcnn": Component(
        "eight convolutions and averages over 8×8 windows, no max pool (SCAR)",
        AllCnnConfig,
        make_allcnn,
    ),
    "vgg11_jit": Component(
        'VGG-11 without BatchNorm and one linear layer more (the "VGG16" of JiT)',
        Vgg11Config,
        make_vgg11,
    ),
    "vgg16_bn": Component(
        "VGG-16 with BatchNorm, for 32×32 images or with torchvision's classifier",
        Vgg16BnConfig,
        make_vgg16,
    ),
    "vit_b16": Component(
        "ViT-B/16 as google/vit-base-patch16-224, for 224×224 images (SSD, JiT)",
        VitBase16Config,
        make_vit,
    ),
    "vit_small": Component(
        "a small vision transformer to train from scratch on 32×32 images", VitConfig, make_vit
    ),
}
"""Every model by name; `make(config, num_classes, input_shape) -> Model`."""


def __getattr__(name: str) -> Any:
    """`from_nnx`, whose library takes a quarter of a second to import (PEP 562)."""
    if name != "from_nnx":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from junlearn.models.nnx import from_nnx

    return from_nnx


def count_parameters(variables: Variables) -> int:
    """How many numbers `variables.params` holds; running statistics are not parameters."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables.params))
