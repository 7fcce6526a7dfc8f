"""ResNet-20, 32, 44, 56 and 110 for 32×32 images, as corrective unlearning has them.

Three stages of (depth - 2) / 6 blocks with 16, 32 and 64 channels, the last two with stride 2. A block with input x is

    relu(conv(norm(relu(conv(norm(x), stride)))) + x, or + norm(conv1×1(x, stride)) where the shape changes

so BatchNorm comes before each convolution, not behind it as in the published networks. No biases in the convolutions;
all weights start uniform on ±1/√fan_in and the head's bias zero. For K = 10: 272,378, 466,810, 661,242, 855,674 and
1,730,618 parameters.

References: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; Goel et al., "Corrective Machine
Unlearning", TMLR 2024.
"""

from dataclasses import dataclass
from functools import partial

from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count
from junlearn.models.linen import from_linen
from junlearn.models.modules import BatchNorm, Conv, Dense, zeros
from junlearn.models.weight_tables import own_table
from junlearn.types import Array, Model

__all__ = ["CifarResNet", "CifarResNetConfig", "make_cifar_resnet"]

SMALLEST = 4
"""Least height and width of an image: two stages halve it."""

conv3 = partial(Conv, kernel_size=(3, 3), padding=((1, 1), (1, 1)), use_bias=False)


@dataclass(frozen=True, kw_only=True)
class CifarResNetConfig:
    """The widths of a `CifarResNet`."""

    widths: tuple[Count, Count, Count] = (16, 32, 64)
    """Channels of the stages; the stem has as many as the first."""


class Stem(nn.Module):
    """3×3 convolution, BatchNorm, ReLU."""

    features: int

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H,W,features]`."""
        x = conv3(self.features, name="conv")(x)
        return nn.relu(BatchNorm(name="norm")(x, train=train, mask=mask))


class Block(nn.Module):
    """Two 3×3 convolutions, each behind a BatchNorm, beside a shortcut, which is projected where the shape changes."""

    features: int
    stride: int

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H/stride,W/stride,features]`."""
        stride = (self.stride, self.stride)
        y = BatchNorm(name="norm1")(x, train=train, mask=mask)
        y = nn.relu(conv3(self.features, strides=stride, name="conv1")(y))
        y = BatchNorm(name="norm2")(y, train=train, mask=mask)
        y = conv3(self.features, name="conv2")(y)
        if self.stride != 1 or x.shape[-1] != self.features:
            x = Conv(self.features, (1, 1), stride, use_bias=False, name="shortcut_conv")(x)
            x = BatchNorm(name="shortcut_norm")(x, train=train, mask=mask)
        return nn.relu(x + y)


class CifarResNet(nn.Module):
    """Stem, three stages of blocks, global average, linear head."""

    num_classes: int
    blocks: int
    """In each stage."""
    widths: tuple[int, int, int] = (16, 32, 64)

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"stem", "stage1", "stage2", "stage3", "embedding"})`."""
        x = Stem(self.widths[0], name="stem")(x, train, mask)
        features = {"stem": x}
        for stage, width in enumerate(self.widths, start=1):
            for block in range(1, self.blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                x = Block(width, stride, name=f"stage{stage}_block{block}")(x, train, mask)
            features[f"stage{stage}"] = x
        embedding = x.mean((1, 2))
        head = Dense(self.num_classes, bias_init=zeros, name="head")
        return head(embedding), {**features, "embedding": embedding}


def make_cifar_resnet(
    config: CifarResNetConfig, num_classes: int, input_shape: tuple[int, int, int], *, depth: int
) -> Model:
    """The ResNet of 6n + 2 = `depth` layers for `input_shape` (H, W, C). Raises ConfigError for images under 4×4."""
    height, width, _ = input_shape
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"model 'resnet{depth}' needs images of {SMALLEST}×{SMALLEST} or more, "
            f"not {height}×{width}"
        )
    blocks = (depth - 2) // 6
    names = [f"stage{stage}_block{block}" for stage in (1, 2, 3) for block in range(1, blocks + 1)]
    model = from_linen(
        CifarResNet(num_classes, blocks, config.widths),
        layers=("stem", *names, "head"),
        depths=(1, *(2 for _ in names), 1),
        input_shape=input_shape,
    )
    parts = ("conv1", "norm1", "conv2", "norm2", "shortcut_conv", "shortcut_norm")
    paths = [("stem", "conv"), ("stem", "norm"), *((n, part) for n in names for part in parts)]
    return model._replace(tables=own_table([*paths, ("head",)]))
