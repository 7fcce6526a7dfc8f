"""ResNet-9 with CELU, the small network of corrective unlearning on CIFAR-10 and PatchCamelyon.

A unit is a convolution with bias, BatchNorm and CELU(x) = max(0, x) + min(0, α (exp(x/α) - 1)) with α = 0.075:

    conv1  3×3 to 64                         conv3  3×3 to 256, then a 2×2 max pool
    conv2  5×5 with stride 2 to 128          res2   x + unit(unit(x)), both 3×3 to 256
    res1   x + unit(unit(x)), 3×3 to 128     conv4  3×3 without padding to 128, then the global maximum

and `fc`, the head, is linear without a bias: 2,276,224 parameters for K = 10. All weights start uniform on ±1/√fan_in
and all biases zero.

Reference: Goel et al., "Corrective Machine Unlearning", TMLR 2024.
"""

from dataclasses import dataclass
from functools import partial

import jax
from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count
from junlearn.models.convolution import max_pool
from junlearn.models.linen import from_linen
from junlearn.models.modules import BatchNorm, Conv, Dense, zeros
from junlearn.models.weight_tables import own_table
from junlearn.types import Array, Model

__all__ = ["ResNet9", "ResNet9Config", "make_resnet9"]

LAYERS = ("conv1", "conv2", "res1", "conv3", "res2", "conv4", "fc")
DEPTHS = (1, 1, 2, 1, 2, 1, 1)
"""Weight layers of each of them."""

SMALLEST = 11
"""Least height and width of an image: conv4 reads a quarter of it with a 3×3 window that must fit."""

celu = partial(jax.nn.celu, alpha=0.075)


@dataclass(frozen=True, kw_only=True)
class ResNet9Config:
    """The widths of a `ResNet9`; the defaults are the published ones."""

    widths: tuple[Count, Count, Count, Count] = (64, 128, 256, 128)
    """Channels of conv1, of conv2 and res1, of conv3 and res2, of conv4 (and so of the embedding)."""


class Unit(nn.Module):
    """Convolution with bias, BatchNorm, CELU."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    padding: int = 1

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H',W',features]`."""
        x = Conv(
            self.features,
            (self.kernel_size, self.kernel_size),
            (self.stride, self.stride),
            padding=((self.padding, self.padding),) * 2,
            bias_init=zeros,
            name="conv",
        )(x)
        return celu(BatchNorm(name="norm")(x, train=train, mask=mask))


class Residual(nn.Module):
    """Two units beside the identity, and nothing after the sum."""

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H,W,C]`."""
        y = Unit(x.shape[-1], name="unit1")(x, train, mask)
        return x + Unit(x.shape[-1], name="unit2")(y, train, mask)


class ResNet9(nn.Module):
    """Six convolutions and two residual pairs of units, the global maximum, a linear head without bias."""

    num_classes: int
    widths: tuple[int, int, int, int] = (64, 128, 256, 128)

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"conv1", ..., "conv4", "embedding"})`, conv3 pooled, conv4 not."""
        first, second, third, last = self.widths
        blocks = {
            "conv1": Unit(first, name="conv1"),
            "conv2": Unit(second, kernel_size=5, stride=2, padding=2, name="conv2"),
            "res1": Residual(name="res1"),
            "conv3": Unit(third, name="conv3"),
            "res2": Residual(name="res2"),
            "conv4": Unit(last, padding=0, name="conv4"),
        }
        features = {}
        for name, block in blocks.items():
            x = block(x, train, mask)
            x = features[name] = max_pool(x, 2) if name == "conv3" else x
        embedding = x.max((1, 2))
        logits = Dense(self.num_classes, use_bias=False, name="fc")(embedding)
        return logits, {**features, "embedding": embedding}


def make_resnet9(
    config: ResNet9Config, num_classes: int, input_shape: tuple[int, int, int]
) -> Model:
    """ResNet-9 for `input_shape` (H, W, C). Raises ConfigError for images under 11×11."""
    height, width, _ = input_shape
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"model 'resnet9' needs images of {SMALLEST}×{SMALLEST} or more, not {height}×{width}"
        )
    module = ResNet9(num_classes, config.widths)
    model = from_linen(module, layers=LAYERS, depths=DEPTHS, input_shape=input_shape)
    units: list[tuple[str, ...]] = []
    for name in LAYERS[:-1]:
        units += [(name, "unit1"), (name, "unit2")] if name.startswith("res") else [(name,)]
    parts = [(*unit, part) for unit in units for part in ("conv", "norm")]
    return model._replace(tables=own_table([*parts, ("fc",)]))
