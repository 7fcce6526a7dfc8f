"""Wide ResNets: the published one, and the one that corrective unlearning trains on CIFAR-100.

Three stages of (depth - 4) / 6 blocks, 16, 32 and 64 times `widen` channels, the last two with stride 2; by default
WRN-28-10. A block with input x is

    standard     h = relu(norm(x));  y = conv(relu(norm(conv(h, stride))));  y + x, or + conv1×1(h, stride)
    corrective   y = conv(relu(norm(conv(relu(norm(x))))), stride);          y + x, or + norm(conv1×1(x, stride))

with the projection where the shape changes. The standard network has no biases in its convolutions, which start
He-normal in fan-out, and BatchNorm and ReLU before the global average: 36,479,194 parameters for K = 10. The corrective
one has biases, nothing before the average, weights uniform on ±1/√fan_in and biases zero: 36,490,250 parameters.

References: Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016; Goel et al., "Corrective Machine Unlearning",
TMLR 2024.
"""

from dataclasses import dataclass
from typing import NamedTuple

from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count
from junlearn.models.linen import from_linen
from junlearn.models.modules import (
    BatchNorm,
    Conv,
    Dense,
    Initializer,
    he_normal_fan_out,
    uniform_fan_in,
    zeros,
)
from junlearn.models.weight_tables import own_table
from junlearn.types import Array, Model

__all__ = ["FORMS", "WideResNet", "WideResNetConfig", "make_wide_resnet"]

STAGES = 3
STEM_WIDTH = 16

SMALLEST = 4
"""Least height and width of an image: two stages halve it."""


class Form(NamedTuple):
    """Where the two networks differ."""

    use_bias: bool
    """Of the convolutions."""
    late_stride: bool
    """The second convolution of a block has the stride, not the first."""
    raw_shortcut: bool
    """A projection reads the block's input and has a BatchNorm; else it reads what the first convolution reads."""
    final_norm: bool
    """BatchNorm and ReLU before the global average."""
    kernel_init: Initializer


FORMS = {
    "standard": Form(False, False, False, True, he_normal_fan_out),
    "corrective": Form(True, True, True, False, uniform_fan_in),
}


@dataclass(frozen=True, kw_only=True)
class WideResNetConfig:
    """The size of a `WideResNet`."""

    depth: Count = 28
    """6n + 4, for n blocks in a stage."""
    widen: Count = 10
    """Channels of the stages in multiples of 16, 32 and 64."""


class PreactivationBlock(nn.Module):
    """Two 3×3 convolutions, each behind BatchNorm and ReLU, beside a shortcut; nothing after the sum."""

    features: int
    stride: int
    form: Form

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H/stride,W/stride,features]`."""
        strides = (1, self.stride) if self.form.late_stride else (self.stride, 1)
        h = nn.relu(BatchNorm(name="norm1")(x, train=train, mask=mask))
        y = _conv(self.form, self.features, 3, strides[0], "conv1")(h)
        y = nn.relu(BatchNorm(name="norm2")(y, train=train, mask=mask))
        y = _conv(self.form, self.features, 3, strides[1], "conv2")(y)
        if self.stride != 1 or x.shape[-1] != self.features:
            project = _conv(self.form, self.features, 1, self.stride, "shortcut_conv")
            x = project(x if self.form.raw_shortcut else h)
            if self.form.raw_shortcut:
                x = BatchNorm(name="shortcut_norm")(x, train=train, mask=mask)
        return x + y


class WideResNet(nn.Module):
    """Convolution, three stages of blocks, global average, linear head."""

    num_classes: int
    form: Form
    blocks: int
    """In each stage."""
    widen: int

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"stem", "stage1", "stage2", "stage3", "embedding"})`."""
        x = _conv(self.form, STEM_WIDTH, 3, 1, "stem")(x)
        features = {"stem": x}
        for stage in range(1, STAGES + 1):
            width = 2 ** (stage - 1) * STEM_WIDTH * self.widen
            for block in range(1, self.blocks + 1):
                stride = 2 if stage > 1 and block == 1 else 1
                name = f"stage{stage}_block{block}"
                x = PreactivationBlock(width, stride, self.form, name=name)(x, train, mask)
            features[f"stage{stage}"] = x
        if self.form.final_norm:
            x = nn.relu(BatchNorm(name="norm")(x, train=train, mask=mask))
        embedding = x.mean((1, 2))
        head = Dense(self.num_classes, bias_init=zeros, name="head")
        return head(embedding), {**features, "embedding": embedding}


def make_wide_resnet(
    config: WideResNetConfig, num_classes: int, input_shape: tuple[int, int, int], *, form: str
) -> Model:
    """A wide ResNet for `input_shape` (H, W, C); `form` is a key of FORMS.

    Raises ConfigError for a depth that is not 6n + 4, and for images under 4×4.
    """
    height, width, _ = input_shape
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"a wide ResNet needs images of {SMALLEST}×{SMALLEST} or more, not {height}×{width}"
        )
    blocks, rest = divmod(config.depth - 4, 2 * STAGES)
    if blocks < 1 or rest:
        raise ConfigError(
            f"model.depth of a wide ResNet must be 10, 16, 22, 28 or another 6n + 4, "
            f"not {config.depth}"
        )
    module = WideResNet(num_classes, FORMS[form], blocks, config.widen)
    names = [f"stage{s}_block{b}" for s in range(1, STAGES + 1) for b in range(1, blocks + 1)]
    depths = {"stem": 1} | dict.fromkeys(names, 2)
    depths |= {"norm": 0, "head": 1} if module.form.final_norm else {"head": 1}
    layers, counts = tuple(depths), tuple(depths.values())
    model = from_linen(module, layers=layers, depths=counts, input_shape=input_shape)
    parts = ("norm1", "conv1", "norm2", "conv2", "shortcut_conv", "shortcut_norm")
    paths = [(name, part) for name in names for part in parts]
    return model._replace(tables=own_table([("stem",), *paths, ("norm",), ("head",)]))


def _conv(form: Form, features: int, size: int, stride: int, name: str) -> Conv:
    return Conv(
        features,
        (size, size),
        (stride, stride),
        padding=((size // 2, size // 2),) * 2,
        use_bias=form.use_bias,
        kernel_init=form.kernel_init,
        bias_init=zeros,
        name=name,
    )
