"""AllCNN, the network without max pooling that SCAR trains on Tiny-ImageNet.

Eight convolutions without bias, each with BatchNorm and ReLU: 3×3 to 96, 96, 192 (stride 2), 192, 192, 192 (stride 2),
192, and 1×1 to 192. Windows of 8×8 of the last map are averaged: 2×2 of them in a 64×64 image, 1×1 in a 32×32 one,
rows and columns that fill no window are left out. The head reads them flattened: dropout, linear to 384, ReLU, dropout,
linear. PyTorch's initial values.

References: Springenberg et al., "Striving for Simplicity: The All Convolutional Net", ICLR 2015 workshop; Bonato,
Cotogni, Sabetta, "Is Retain Set All You Need in Machine Unlearning?", ECCV 2024 (SCAR).
"""

from dataclasses import dataclass

from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction
from junlearn.models.linen import from_linen
from junlearn.models.modules import BatchNorm, Conv, Dense
from junlearn.models.weight_tables import own_table
from junlearn.types import Array, Model

__all__ = ["AllCnn", "AllCnnConfig", "make_allcnn"]

CONVOLUTIONS = (
    (1, 3, 1),
    (1, 3, 1),
    (2, 3, 2),
    (2, 3, 1),
    (2, 3, 1),
    (2, 3, 2),
    (2, 3, 1),
    (2, 1, 1),
)
"""Channels in multiples of the first, size of the kernel, stride."""

WINDOW = 8
"""Height and width of what is averaged."""

SMALLEST = 29
"""Least height and width of an image: the last map, a quarter of it, must fill one window."""


@dataclass(frozen=True, kw_only=True)
class AllCnnConfig:
    """The widths of an `AllCnn`; the defaults are SCAR's."""

    width: Count = 96
    """Channels of the first two convolutions; the others have twice as many."""
    hidden: Count = 384
    """Width between the two linear layers of the head."""
    dropout: Fraction = 0.0
    """Before both linear layers of the head. SCAR trains with 0.1 and unlearns with 0."""


class NormedConv(nn.Module):
    """Convolution without bias, BatchNorm, ReLU."""

    features: int
    size: int
    stride: int

    @nn.compact
    def __call__(self, x: Array, train: bool, mask: Array | None) -> Array:
        """`[B,H,W,C] -> [B,H/stride,W/stride,features]`."""
        x = Conv(
            self.features,
            (self.size, self.size),
            (self.stride, self.stride),
            padding=((self.size // 2, self.size // 2),) * 2,
            use_bias=False,
            name="conv",
        )(x)
        return nn.relu(BatchNorm(name="norm")(x, train=train, mask=mask))


class HiddenHead(nn.Module):
    """A classifier of two linear layers with ReLU between them, dropout before both."""

    hidden: int
    num_classes: int
    dropout: float

    @nn.compact
    def __call__(self, embedding: Array, train: bool) -> Array:
        """`[B,D] -> logits[B,K]`."""
        x = nn.Dropout(self.dropout, deterministic=not train)(embedding)
        x = nn.relu(Dense(self.hidden, name="dense1")(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Dense(self.num_classes, name="dense2")(x)


class AllCnn(nn.Module):
    """Eight convolutions, averages over windows of 8×8, a head of two linear layers."""

    num_classes: int
    width: int = 96
    hidden: int = 384
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"conv1", ..., "conv8", "embedding"})`."""
        features = {}
        for number, (factor, size, stride) in enumerate(CONVOLUTIONS, start=1):
            name = f"conv{number}"
            x = NormedConv(factor * self.width, size, stride, name=name)(x, train, mask)
            features[name] = x
        embedding = _window_means(x).reshape(len(x), -1)
        head = HiddenHead(self.hidden, self.num_classes, self.dropout, name="head")
        return head(embedding, train), {**features, "embedding": embedding}


def make_allcnn(config: AllCnnConfig, num_classes: int, input_shape: tuple[int, int, int]) -> Model:
    """AllCNN for `input_shape` (H, W, C). Raises ConfigError for images under 29×29."""
    height, width, _ = input_shape
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"model 'allcnn' needs images of {SMALLEST}×{SMALLEST} or more, not {height}×{width}"
        )
    convolutions = [f"conv{number}" for number in range(1, len(CONVOLUTIONS) + 1)]
    model = from_linen(
        AllCnn(num_classes, config.width, config.hidden, config.dropout),
        layers=(*convolutions, "head"),
        depths=(*(1 for _ in convolutions), 2),
        input_shape=input_shape,
    )
    paths = [(name, part) for name in convolutions for part in ("conv", "norm")]
    # Two convolutions with stride 2 and then the windows.
    down, across = (-(-length // 4) // WINDOW for length in (height, width))
    head = [("head", "dense1"), ("head", "dense2")]
    return model._replace(tables=own_table([*paths, *head], {head[0]: (down, across)}))


def _window_means(x: Array) -> Array:
    """`[B,H,W,C] -> [B,H//8,W//8,C]`: the mean of every window."""
    rows, columns = (length // WINDOW for length in x.shape[1:3])
    x = x[:, : rows * WINDOW, : columns * WINDOW]
    return x.reshape(len(x), rows, WINDOW, columns, WINDOW, -1).mean((2, 4))
