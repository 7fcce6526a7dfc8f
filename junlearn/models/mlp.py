"""A multi-layer perceptron on flattened images."""

import math
from dataclasses import dataclass

from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count
from junlearn.models.linen import from_linen
from junlearn.models.modules import Dense
from junlearn.models.weight_tables import own_table
from junlearn.types import Array, Model

__all__ = ["Mlp", "MlpConfig", "make_mlp"]


@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """The widths of `Mlp`."""

    hidden: tuple[Count, ...] = (64, 64)


class Mlp(nn.Module):
    """Dense layers with ReLU between them; the embedding is the last hidden layer, after its ReLU."""

    num_classes: int
    hidden: tuple[int, ...] = (64, 64)

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,...] -> (logits[B,K], {"dense1", ..., "embedding"})`; train and eval mode are the same."""
        del train, mask
        x = x.reshape(len(x), -1)
        features = {}
        for number, width in enumerate(self.hidden, start=1):
            x = features[f"dense{number}"] = nn.relu(Dense(width, name=f"dense{number}")(x))
        return Dense(self.num_classes, name="head")(x), {**features, "embedding": x}


def make_mlp(config: MlpConfig, num_classes: int, input_shape: tuple[int, int, int]) -> Model:
    """An MLP for `input_shape` (H, W, C). Raises ConfigError for images without a pixel."""
    if math.prod(input_shape) < 1:
        raise ConfigError(f"model 'mlp' needs images with at least one pixel, not {input_shape}")
    hidden = tuple(f"dense{number}" for number in range(1, len(config.hidden) + 1))
    layers = (*hidden, "head")
    model = from_linen(Mlp(num_classes, config.hidden), layers=layers, input_shape=input_shape)
    tables = own_table([(layer,) for layer in layers], {(layers[0],): input_shape[:2]})
    return model._replace(tables=tables)
