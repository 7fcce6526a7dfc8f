"""Small convolutional networks for images of one object: LAF's CNN, and one for 8×8 digits.

`LafCnn` is the network of LAF and CaMU for MNIST and Fashion-MNIST: two 5×5 convolutions, a linear
embedding, and a head of two linear layers with nothing between them.
"""

from dataclasses import dataclass

from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count
from junlearn.models.convolution import max_pool
from junlearn.models.linen import from_linen
from junlearn.models.modules import BatchNorm, Conv, Dense
from junlearn.models.weight_tables import own_table
from junlearn.types import Array, Model

__all__ = ["LafCnn", "LafCnnConfig", "SmallCnn", "SmallCnnConfig", "make_laf_cnn", "make_small_cnn"]


@dataclass(frozen=True, kw_only=True)
class LafCnnConfig:
    """The widths of `LafCnn`; the defaults are LAF's."""

    channels: tuple[Count, Count] = (16, 32)
    embedding: Count = 256
    hidden: Count = 128
    """Width between the two linear layers of the head."""


@dataclass(frozen=True, kw_only=True)
class SmallCnnConfig:
    """The widths of `SmallCnn`, which has a block for each of `channels`."""

    channels: tuple[Count, ...] = (16, 32)
    embedding: Count = 64


class FactoredHead(nn.Module):
    """A linear classifier as the product of two: no non-linearity stands between its layers."""

    hidden: int
    num_classes: int

    @nn.compact
    def __call__(self, embedding: Array) -> Array:
        """`[B,D] -> logits[B,K]`."""
        return Dense(self.num_classes, name="dense2")(Dense(self.hidden, name="dense1")(embedding))


class LafCnn(nn.Module):
    """conv 5×5, ReLU, pool, conv 5×5, ReLU, pool, linear embedding, factored linear head."""

    num_classes: int
    channels: tuple[int, int] = (16, 32)
    embedding: int = 256
    hidden: int = 128

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"conv1", "conv2", "embedding"})`; train and eval mode are the same."""
        del train, mask
        features = {}
        for number, width in enumerate(self.channels, start=1):
            conv = Conv(width, (5, 5), padding=((2, 2), (2, 2)), name=f"conv{number}")
            x = features[f"conv{number}"] = max_pool(nn.relu(conv(x)), 2)
        embedding = Dense(self.embedding, name="fc1")(x.reshape(len(x), -1))
        logits = FactoredHead(self.hidden, self.num_classes, name="head")(embedding)
        return logits, {**features, "embedding": embedding}


class ConvBlock(nn.Module):
    """conv 3×3, BatchNorm, ReLU, pool."""

    features: int

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H/2,W/2,features]`."""
        x = Conv(self.features, (3, 3), padding=((1, 1), (1, 1)), use_bias=False, name="conv")(x)
        x = BatchNorm(name="norm")(x, train=train, mask=mask)
        return max_pool(nn.relu(x), 2)


class SmallCnn(nn.Module):
    """Convolution blocks with BatchNorm, a dense embedding after ReLU, a linear head."""

    num_classes: int
    channels: tuple[int, ...] = (16, 32)
    embedding: int = 64

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"block1", ..., "embedding"})`."""
        features = {}
        for number, width in enumerate(self.channels, start=1):
            x = features[f"block{number}"] = ConvBlock(width, name=f"block{number}")(x, train, mask)
        embedding = nn.relu(Dense(self.embedding, name="fc1")(x.reshape(len(x), -1)))
        return Dense(self.num_classes, name="head")(embedding), {**features, "embedding": embedding}


def make_laf_cnn(
    config: LafCnnConfig, num_classes: int, input_shape: tuple[int, int, int]
) -> Model:
    """LAF's CNN for `input_shape` (H, W, C). Raises ConfigError for images under 4×4."""
    _check_pools("laf_cnn", 2, input_shape)
    module = LafCnn(num_classes, config.channels, config.embedding, config.hidden)
    model = from_linen(module, layers=("conv1", "conv2", "fc1", "head"), input_shape=input_shape)
    paths = [("conv1",), ("conv2",), ("fc1",), ("head", "dense1"), ("head", "dense2")]
    return model._replace(tables=own_table(paths, {("fc1",): _halved(input_shape, 2)}))


def make_small_cnn(
    config: SmallCnnConfig, num_classes: int, input_shape: tuple[int, int, int]
) -> Model:
    """The small CNN for `input_shape` (H, W, C). Raises ConfigError for images that it cannot halve in each block."""
    blocks = len(config.channels)
    _check_pools("small_cnn", blocks, input_shape)
    module = SmallCnn(num_classes, config.channels, config.embedding)
    names = [f"block{number}" for number in range(1, blocks + 1)]
    model = from_linen(module, layers=(*names, "fc1", "head"), input_shape=input_shape)
    paths = [(name, part) for name in names for part in ("conv", "norm")]
    tables = own_table([*paths, ("fc1",), ("head",)], {("fc1",): _halved(input_shape, blocks)})
    return model._replace(tables=tables)


def _halved(input_shape: tuple[int, int, int], times: int) -> tuple[int, int]:
    """Height and width of the map behind so many pools."""
    return input_shape[0] // 2**times, input_shape[1] // 2**times


def _check_pools(name: str, pools: int, input_shape: tuple[int, int, int]) -> None:
    height, width, _ = input_shape
    if min(height, width) < 2**pools:
        raise ConfigError(
            f"model {name!r} halves its input {pools} times and needs images of {2**pools}×{2**pools} or more, "
            f"not {height}×{width}"
        )
