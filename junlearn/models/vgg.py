"""VGG: the VGG-11 without BatchNorm that JiT calls "VGG16", and VGG-16 with BatchNorm.

`vgg11_jit` is torchvision's VGG-11 with its 1000-way classifier and one more linear layer to K classes, nothing
between the two (132,863,336 + 1001 K parameters). Its convolutions are He-normal in fan-out with zero bias, the three
linear layers N(0, 0.01²) with zero bias, the head starts as PyTorch does by default. An adaptive average pool brings
the last map to 7×7; of a 32×32 image the map is one position, and the pool repeats it 49 times.

`vgg16_bn` has thirteen convolutions (with bias, as torchvision's), each with BatchNorm. `classifier="linear"` is the
form for 32×32 images: the head reads the average of the last map (14,728,266 parameters for K = 10).
`classifier="torchvision"` is torchvision's: the pool to 7×7 and two linear layers with dropout before the head
(138,365,992 parameters for K = 1000).

Reference: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction
from junlearn.models.convolution import max_pool
from junlearn.models.linen import from_linen
from junlearn.models.modules import BatchNorm, Conv, Dense, he_normal_fan_out, normal, zeros
from junlearn.models.weight_tables import Row, Table
from junlearn.models.weights import Pretrained, pretrained
from junlearn.types import Array, Model

__all__ = ["Vgg", "Vgg11Config", "Vgg16BnConfig", "adaptive_mean_pool", "make_vgg11", "make_vgg16"]

VGG11 = (1, 1, 2, 2, 2)
VGG16 = (2, 2, 3, 3, 3)
"""Convolutions before each of the five pools."""

WIDTHS = (1, 2, 4, 8, 8)
"""Channels between the pools, in multiples of the first."""

GRID = 7
"""Height and width of the map that the linear layers read."""

SMALLEST = 32
"""Least height and width of an image: five pools halve it."""

small_normal = partial(normal, std=0.01)


@dataclass(frozen=True, kw_only=True)
class Vgg11Config(Pretrained):
    """The widths of `vgg11_jit`; the defaults are the released network's."""

    width: Count = 64
    """Channels of the first convolution; the later ones have 2, 4, 8 and 8 times as many."""
    hidden: Count = 4096
    """Width of the two hidden linear layers."""
    embedding: Count = 1000
    """Width of the linear layer that the head reads."""
    dropout: Fraction = 0.5


@dataclass(frozen=True, kw_only=True)
class Vgg16BnConfig(Pretrained):
    """The widths of `vgg16_bn`, and what stands between its convolutions and its head."""

    classifier: Literal["linear", "torchvision"] = "linear"
    """linear: the head reads the average of the last map. torchvision: two hidden layers read it pooled to 7×7."""
    width: Count = 64
    """Channels of the first convolution; the later ones have 2, 4, 8 and 8 times as many."""
    hidden: Count = 4096
    """Width of the two hidden layers of the classifier "torchvision"."""
    dropout: Fraction = 0.5
    """After each of the two hidden layers."""


class NormedConv(nn.Module):
    """3×3 convolution and BatchNorm."""

    features: int

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H,W,features]`."""
        return BatchNorm(name="norm")(_conv(self.features, "conv")(x), train=train, mask=mask)


class Vgg(nn.Module):
    """Five stages of 3×3 convolutions, each before a pool; dense layers; a linear head."""

    num_classes: int
    convolutions: tuple[int, ...]
    width: int
    batch_norm: bool
    hidden: tuple[int, ...] = ()
    """Dense layers with ReLU and dropout on the map pooled to 7×7; with none the head reads the map's average."""
    embedding: int | None = None
    """Width of one more linear layer before the head, without ReLU, which then starts as PyTorch does by default."""
    dropout: float = 0.5

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"conv1", ..., "fc1", ..., "embedding"})`, all after their ReLU."""
        features = {}
        names = iter(_conv_names(self.convolutions))
        for count, factor in zip(self.convolutions, WIDTHS, strict=True):
            for name in [next(names) for _ in range(count)]:
                if self.batch_norm:
                    x = NormedConv(factor * self.width, name=name)(x, train, mask)
                else:
                    x = _conv(factor * self.width, name)(x)
                x = features[name] = nn.relu(x)
            x = max_pool(x, 2)
        x = adaptive_mean_pool(x, GRID).reshape(len(x), -1) if self.hidden else x.mean((1, 2))
        for number, width in enumerate(self.hidden, start=1):
            x = features[f"fc{number}"] = nn.relu(_dense(width, f"fc{number}")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        if self.embedding is None:
            head = _dense(self.num_classes, "head")
        else:
            name = f"fc{len(self.hidden) + 1}"
            x = features[name] = _dense(self.embedding, name)(x)
            head = Dense(self.num_classes, name="head")
        return head(x), {**features, "embedding": x}


def adaptive_mean_pool(x: Array, size: int) -> Array:
    """`[B,H,W,C] -> [B,size,size,C]`: position i is the mean over floor(iH/size) .. ceil((i+1)H/size), so smaller
    maps are repeated. PyTorch's adaptive average pool.
    """
    if x.shape[1:3] == (size, size):
        return x
    down, across = (jnp.asarray(_shares(length, size), x.dtype) for length in x.shape[1:3])
    # Full precision: a GPU's TF32 would round the features to 10 bits.
    return jnp.einsum("rh,bhwc,sw->brsc", down, x, across, precision=jax.lax.Precision.HIGHEST)


def make_vgg11(config: Vgg11Config, num_classes: int, input_shape: tuple[int, int, int]) -> Model:
    """VGG-11 with a linear layer more than usual, for `input_shape` (H, W, C).

    Raises ConfigError for images under 32×32, and as `junlearn.models.weights.load_weights` does.
    """
    _check_size("vgg11_jit", input_shape)
    module = Vgg(
        num_classes,
        VGG11,
        config.width,
        batch_norm=False,
        hidden=(config.hidden, config.hidden),
        embedding=config.embedding,
        dropout=config.dropout,
    )
    linear = [
        Row(("fc1",), ("classifier.0",), reads=(GRID, GRID)),
        Row(("fc2",), ("classifier.3",)),
        Row(("fc3",), ("classifier.6",)),
        Row(("head",), ("fc", "head")),
    ]
    return _make(module, config, input_shape, linear)


def make_vgg16(config: Vgg16BnConfig, num_classes: int, input_shape: tuple[int, int, int]) -> Model:
    """VGG-16 with BatchNorm, for `input_shape` (H, W, C).

    Raises ConfigError for images under 32×32, and as `junlearn.models.weights.load_weights` does.
    """
    _check_size("vgg16_bn", input_shape)
    full = config.classifier == "torchvision"
    module = Vgg(
        num_classes,
        VGG16,
        config.width,
        batch_norm=True,
        hidden=(config.hidden, config.hidden) if full else (),
        dropout=config.dropout,
    )
    linear = [Row(("head",), ("classifier", "fc", "head"))]
    if full:
        linear = [
            Row(("fc1",), ("classifier.0",), reads=(GRID, GRID)),
            Row(("fc2",), ("classifier.3",)),
            Row(("head",), ("classifier.6",)),
        ]
    return _make(module, config, input_shape, linear)


def _make(
    module: Vgg, config: Pretrained, input_shape: tuple[int, int, int], linear: list[Row]
) -> Model:
    layers = (*_conv_names(module.convolutions), *(row.path[0] for row in linear))
    model = from_linen(module, layers=layers, input_shape=input_shape)
    return pretrained(model, config, (Table("torchvision", (*_rows(module), *linear)),))


def _conv_names(convolutions: tuple[int, ...]) -> list[str]:
    return [f"conv{number}" for number in range(1, sum(convolutions) + 1)]


def _rows(module: Vgg) -> list[Row]:
    """The convolutions in torchvision's `features`, a sequence that counts ReLUs and pools too."""
    rows = []
    names = iter(_conv_names(module.convolutions))
    index = 0
    for count in module.convolutions:
        for name in [next(names) for _ in range(count)]:
            if module.batch_norm:
                rows.append(Row((name, "conv"), (f"features.{index}",)))
                rows.append(Row((name, "norm"), (f"features.{index + 1}",)))
            else:
                rows.append(Row((name,), (f"features.{index}",)))
            index += 3 if module.batch_norm else 2
        index += 1
    return rows


def _conv(features: int, name: str) -> Conv:
    return Conv(
        features,
        (3, 3),
        padding=((1, 1), (1, 1)),
        kernel_init=he_normal_fan_out,
        bias_init=zeros,
        name=name,
    )


def _dense(features: int, name: str) -> Dense:
    return Dense(features, kernel_init=small_normal, bias_init=zeros, name=name)


def _shares(length: int, size: int) -> np.ndarray:
    """Weights [size, length] of the means of `adaptive_mean_pool` along one axis."""
    start = np.arange(size) * length // size
    end = -(-(np.arange(size) + 1) * length // size)
    inside = (np.arange(length) >= start[:, None]) & (np.arange(length) < end[:, None])
    return inside / (end - start)[:, None]


def _check_size(name: str, input_shape: tuple[int, int, int]) -> None:
    height, width, _ = input_shape
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"model {name!r} halves its input five times and needs images of {SMALLEST}×{SMALLEST} "
            f"or more, not {height}×{width}"
        )
