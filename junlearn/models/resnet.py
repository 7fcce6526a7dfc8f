"""ResNet-18, 34 and 50 with the CIFAR stem and with the ImageNet stem.

The CIFAR stem is one 3×3 convolution at full resolution, initialised as PyTorch does by default
(SSD, JiT: ResNet-18 with 11,168,832 + 513 K parameters). The ImageNet stem is torchvision's, a 7×7
convolution with stride 2 and a max pool, its convolutions He-normal in fan-out; its head reads the
512 pooled features (CaMU: 11,181,642 parameters for K = 10) or a linear embedding of them (LAF:
256 wide, 11,310,410 parameters). SCAR's ResNet-18 for CIFAR-10 has the ImageNet stem, its networks
for CIFAR-100 and Tiny-ImageNet the CIFAR stem, and dropout before the head while they are trained.

ResNet-34 has 21,797,672 parameters for K = 1000 and the ImageNet stem. ResNet-50, of bottleneck
blocks with the stride in their 3×3 convolution as in torchvision, has 25,557,032; its head reads 2048 features.

Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, NamedTuple

from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction
from junlearn.models.convolution import max_pool
from junlearn.models.linen import from_linen
from junlearn.models.modules import (
    BatchNorm,
    Conv,
    Dense,
    Initializer,
    he_normal_fan_out,
    uniform_fan_in,
)
from junlearn.models.weight_tables import Row, Table
from junlearn.models.weights import Pretrained, pretrained
from junlearn.types import Array, Model

__all__ = [
    "DEPTHS",
    "STEMS",
    "BasicBlock",
    "Bottleneck",
    "Depth",
    "ResNet",
    "ResNetConfig",
    "Stem",
    "make_resnet",
    "weight_names",
]


SAME_3X3 = ((1, 1), (1, 1))
"""Padding that keeps the size of what a 3×3 convolution reads."""


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which is projected where the shape changes."""

    CONVOLUTIONS: ClassVar[int] = 2
    """Those beside the shortcut."""

    features: int
    stride: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H/stride,W/stride,features]`."""
        stride = (self.stride, self.stride)
        conv = partial(Conv, self.features, use_bias=False, kernel_init=self.kernel_init)
        y = conv((3, 3), stride, padding=SAME_3X3, name="conv1")(x)
        y = nn.relu(BatchNorm(name="norm1")(y, train=train, mask=mask))
        y = conv((3, 3), padding=SAME_3X3, name="conv2")(y)
        y = BatchNorm(name="norm2")(y, train=train, mask=mask)
        if self.stride != 1 or x.shape[-1] != self.features:
            x = conv((1, 1), stride, name="shortcut_conv")(x)
            x = BatchNorm(name="shortcut_norm")(x, train=train, mask=mask)
        return nn.relu(x + y)


class Bottleneck(nn.Module):
    """A 3×3 convolution between two 1×1 ones, the last four times as wide, beside a shortcut as in `BasicBlock`."""

    CONVOLUTIONS: ClassVar[int] = 3
    """Those beside the shortcut."""

    features: int
    """Channels of the first two convolutions."""
    stride: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H/stride,W/stride,4·features]`."""
        stride, wide = (self.stride, self.stride), 4 * self.features
        conv = partial(Conv, use_bias=False, kernel_init=self.kernel_init)
        y = conv(self.features, (1, 1), name="conv1")(x)
        y = nn.relu(BatchNorm(name="norm1")(y, train=train, mask=mask))
        y = conv(self.features, (3, 3), stride, padding=SAME_3X3, name="conv2")(y)
        y = nn.relu(BatchNorm(name="norm2")(y, train=train, mask=mask))
        y = conv(wide, (1, 1), name="conv3")(y)
        y = BatchNorm(name="norm3")(y, train=train, mask=mask)
        if self.stride != 1 or x.shape[-1] != wide:
            x = conv(wide, (1, 1), stride, name="shortcut_conv")(x)
            x = BatchNorm(name="shortcut_norm")(x, train=train, mask=mask)
        return nn.relu(x + y)


class Stem(NamedTuple):
    """How an image enters the first stage, and how the convolutions behind it start."""

    kernel_size: int
    stride: int
    pool: bool
    """A 3×3 max pool with stride 2 at the end."""
    kernel_init: Initializer
    smallest: int
    """Least height and width of an image: under it the last stages see nothing but padding."""


class Depth(NamedTuple):
    """The residual blocks of a network: which kind, and how many in each stage."""

    block: type[BasicBlock] | type[Bottleneck]
    blocks: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512)

    def places(self) -> list[tuple[int, int]]:
        """(stage, block) of every block in order, both counted from 1."""
        counts = enumerate(self.blocks, start=1)
        return [(stage, block) for stage, count in counts for block in range(1, count + 1)]


STEMS = {
    "cifar": Stem(3, 1, False, uniform_fan_in, 8),
    "imagenet": Stem(7, 2, True, he_normal_fan_out, 8),
}
DEPTHS = {
    18: Depth(BasicBlock, (2, 2, 2, 2)),
    34: Depth(BasicBlock, (3, 4, 6, 3)),
    50: Depth(Bottleneck, (3, 4, 6, 3)),
}


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(Pretrained):
    """What the head of a `ResNet` reads, and what of its stem a file of weights gives."""

    embedding: Count | None = None
    """Width of a linear embedding between the pooled features and the head; None: no such layer. With `weights` it is
    part of the head: the names in use have none for it."""
    dropout: Fraction = 0.0
    """Before the head, in train mode. SCAR trains with 0.4 and unlearns with 0."""
    weights_stem: Literal["keep", "fresh"] = "keep"
    """fresh: the stem's convolution is drawn at random, whatever the file holds for it: the 7×7 one of ImageNet has no
    place in the CIFAR stem (SCAR)."""


class StemLayer(nn.Module):
    """Convolution, BatchNorm, ReLU and, for large images, a max pool."""

    stem: Stem
    features: int

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H',W',features]`."""
        size, stride = self.stem.kernel_size, self.stem.stride
        x = Conv(
            self.features,
            (size, size),
            (stride, stride),
            padding=((size // 2, size // 2),) * 2,
            use_bias=False,
            kernel_init=self.stem.kernel_init,
            name="conv",
        )(x)
        x = nn.relu(BatchNorm(name="norm")(x, train=train, mask=mask))
        return max_pool(x, 3, stride=2, padding=((1, 1), (1, 1))) if self.stem.pool else x


class ResNet(nn.Module):
    """Stem, stages of residual blocks, global average pool, optional linear embedding, dropout, linear head."""

    num_classes: int
    stem: Stem
    depth: Depth
    embedding: int | None = None
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"stem", "stage1", ..., "stage4", "embedding"})`, the last before dropout."""
        x = StemLayer(self.stem, self.depth.widths[0], name="stem")(x, train, mask)
        features = {"stem": x}
        for stage, block in self.depth.places():
            stride = 2 if stage > 1 and block == 1 else 1
            width = self.depth.widths[stage - 1]
            name = f"stage{stage}_block{block}"
            x = self.depth.block(width, stride, self.stem.kernel_init, name=name)(x, train, mask)
            features[f"stage{stage}"] = x
        embedding = x.mean((1, 2))
        if self.embedding is not None:
            embedding = Dense(self.embedding, name="fc1")(embedding)
        kept = nn.Dropout(self.dropout, deterministic=not train)(embedding)
        return Dense(self.num_classes, name="head")(kept), {**features, "embedding": embedding}


def make_resnet(
    config: ResNetConfig,
    num_classes: int,
    input_shape: tuple[int, int, int],
    *,
    stem: str,
    depth: int = 18,
) -> Model:
    """A ResNet for `input_shape` (H, W, C); `stem` is a key of STEMS, `depth` one of DEPTHS.

    Raises ConfigError for images smaller than the stem allows, and for weights whose head is to be kept although an
    embedding stands before it; else as `junlearn.models.weights.load_weights` does.
    """
    height, width, _ = input_shape
    smallest = STEMS[stem].smallest
    if min(height, width) < smallest:
        raise ConfigError(
            f"ResNet-{depth} with the {stem} stem needs images of {smallest}×{smallest} or more, "
            f"not {height}×{width}"
        )
    if (
        config.weights is not None
        and config.embedding is not None
        and config.weights_head == "keep"
    ):
        raise ConfigError(
            'model.embedding has no place in a file of weights: set model.weights_head = "fresh"'
        )
    blocks = [f"stage{stage}_block{block}" for stage, block in DEPTHS[depth].places()]
    embedding = () if config.embedding is None else ("fc1",)
    model = from_linen(
        ResNet(num_classes, STEMS[stem], DEPTHS[depth], config.embedding, config.dropout),
        layers=("stem", *blocks, *embedding, "head"),
        depths=(1, *(DEPTHS[depth].block.CONVOLUTIONS for _ in blocks), *(1 for _ in embedding), 1),
        input_shape=input_shape,
    )
    return pretrained(
        model,
        config,
        weight_names(DEPTHS[depth], embedding=bool(embedding)),
        (*embedding, "head"),
        fresh=("stem.conv",) if config.weights_stem == "fresh" else (),
    )


def weight_names(depth: Depth, embedding: bool = False) -> tuple[Table]:
    """Torchvision's names, and `shortcut` and `linear` for its `downsample` and `fc`; its and timm's are the same.

    A linear embedding, which neither has, is `embedding` before the `fc`.
    """
    rows = [Row(("stem", "conv"), ("conv1",)), Row(("stem", "norm"), ("bn1",))]
    for stage, block in depth.places():
        here, there = f"stage{stage}_block{block}", f"layer{stage}.{block - 1}"
        for number in range(1, depth.block.CONVOLUTIONS + 1):
            rows.append(Row((here, f"conv{number}"), (f"{there}.conv{number}",)))
            rows.append(Row((here, f"norm{number}"), (f"{there}.bn{number}",)))
        for index, part in enumerate(("conv", "norm")):
            names = (f"{there}.downsample.{index}", f"{there}.shortcut.{index}")
            rows.append(Row((here, f"shortcut_{part}"), names))
    rows += [Row(("fc1",), ("embedding",))] if embedding else []
    return (Table("torchvision", (*rows, Row(("head",), ("fc", "linear")))),)
