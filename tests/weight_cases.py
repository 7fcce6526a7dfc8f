"""The networks that load weights, in small, and what a file for one of them holds."""

from typing import NamedTuple

import jax
import numpy as np

from junlearn.models import MODELS, from_linen
from junlearn.models.resnet import (
    STEMS,
    BasicBlock,
    Bottleneck,
    Depth,
    ResNet,
    ResNetConfig,
    weight_names,
)
from junlearn.models.weights import pretrained
from junlearn.types import Data

CLASSES = 5
SMALL_RESNET = Depth(BasicBlock, (1, 1), (4, 8))
SMALL_BOTTLENECK = Depth(Bottleneck, (1, 1), (4, 8))


class Case(NamedTuple):
    """A network in small: its name, the sizes of its configuration, (H, W, C) of its images."""

    name: str
    settings: dict
    shape: tuple[int, int, int] = (32, 32, 3)


CASES = {
    # A map of 3×2 before the pool, so that a wrong order of the flattened map shows.
    "vgg11": Case("vgg11_jit", {"width": 2, "hidden": 12, "embedding": 7}, (96, 64, 3)),
    "vgg16": Case("vgg16_bn", {"width": 2, "hidden": 12, "classifier": "torchvision"}),
    "resnet cifar": Case("resnet18", {}, (8, 8, 3)),
    "resnet imagenet": Case("resnet18_imagenet", {}, (16, 16, 3)),
    "resnet bottleneck": Case("resnet50", {}, (8, 8, 3)),
    "vit": Case(
        "vit_small", {"patch": 4, "width": 8, "depth": 2, "heads": 2, "mlp": 12}, (8, 12, 3)
    ),
}


def build(case, path=None, num_classes=CLASSES, head="keep"):
    fields = {"weights": None if path is None else str(path), "weights_head": head}
    if not case.name.startswith("resnet"):
        component = MODELS[case.name]
        return component.make(component.Config(**case.settings, **fields), num_classes, case.shape)
    stem = STEMS["imagenet" if "imagenet" in case.name else "cifar"]
    depth = SMALL_BOTTLENECK if case.name.startswith("resnet50") else SMALL_RESNET
    layers = ("stem", "stage1_block1", "stage2_block1", "head")
    module = ResNet(num_classes, stem, depth)
    model = from_linen(module, layers=layers, input_shape=case.shape)
    return pretrained(model, ResNetConfig(**fields), weight_names(depth))


def images(count, shape):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def resnet_arrays():
    """What a file for the small ResNet holds, by name."""
    rng = np.random.default_rng(0)
    shapes = {"conv1": (4, 3, 3, 3), "bn1": (4,), "fc": (CLASSES, 8)}
    for layer, inputs, width in (("layer1.0", 4, 4), ("layer2.0", 4, 8)):
        shapes |= {f"{layer}.conv1": (width, inputs, 3, 3), f"{layer}.bn1": (width,)}
        shapes |= {f"{layer}.conv2": (width, width, 3, 3), f"{layer}.bn2": (width,)}
    shapes |= {"layer2.0.downsample.0": (8, 4, 1, 1), "layer2.0.downsample.1": (8,)}
    found = {}
    for layer, shape in shapes.items():
        found[f"{layer}.weight"] = rng.normal(size=shape).astype(np.float32)
        if len(shape) < 4:
            found[f"{layer}.bias"] = rng.normal(size=shape[:1]).astype(np.float32)
        if len(shape) == 1:
            found[f"{layer}.running_mean"] = rng.normal(size=shape).astype(np.float32)
            found[f"{layer}.running_var"] = rng.uniform(1, 2, shape).astype(np.float32)
            found[f"{layer}.num_batches_tracked"] = np.array(7)
    return found


RESNET = CASES["resnet cifar"]


def fresh(model, seed=0):
    """A new network as methods make one: compiled."""
    return model.fresh(jax.random.key(seed), {"train": Data(images(1, RESNET.shape), None)})
