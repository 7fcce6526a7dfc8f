"""A network: its numbers, and the pure functions that make and apply them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from junlearn.compiler import jitted
from junlearn.types.aliases import Array, Key, PyTree
from junlearn.types.data import Sources

__all__ = [
    "Model",
    "Variables",
]


class Variables(NamedTuple):
    """All numbers of a network: what an optimiser changes, and what a forward pass in train mode changes."""

    params: PyTree
    stats: PyTree
    """BatchNorm running statistics; `{}` if the network has none."""

    @staticmethod
    def from_linen(collections: "Variables | Mapping[str, PyTree]") -> "Variables":
        """Flax's dict `{"params": ..., "batch_stats": ...}`; see `junlearn.models.linen.variables_of`."""
        from junlearn.models import linen

        return linen.variables_of(collections)

    def to_linen(self) -> dict[str, PyTree]:
        """Flax's dict of collections: what `module.apply` of a Linen module takes."""
        return {"params": self.params, **self.stats}

    @staticmethod
    def from_nnx(module: Any) -> "Variables":
        """The arrays of a Flax NNX module; see `junlearn.models.nnx.variables_of`."""
        from junlearn.models import nnx

        return nnx.variables_of(module)

    def into_nnx(self, module: Any) -> None:
        """Put the arrays into a Flax NNX module; see `junlearn.models.nnx.update`."""
        from junlearn.models import nnx

        nnx.update(module, self)


class Model(NamedTuple):
    """All that a method sees of a network: two pure functions and the order of its layers."""

    init: Callable[[Key, Array], Variables]
    """`(key, x[1,H,W,C]) -> Variables`."""
    apply: Callable[..., tuple[Array, dict[str, Array], PyTree]]
    """`(variables, x[B,H,W,C], *, train=False, key=None, mask=None) -> (logits[B,K], features, stats)`.

    `features["embedding"]` is what the head reads. With `train=True` BatchNorm uses the statistics of the
    batch, taken over the rows where `mask` is True, and `stats` are the updated running statistics. A collection of
    names out of `layers` in the place of True: these layers are in train mode, the others in eval mode.
    """
    layers: tuple[str, ...] = ()
    """Top-level groups of `params`, input to output; the last one is the head."""
    depths: tuple[int, ...] = ()
    """Weight layers in each of `layers`, shortcuts not counted, for "the last k layers"; empty: one each."""
    input_shape: tuple[int, int, int] | None = None
    """(H, W, C) that `apply` takes, where the stored images have another size (they are resized); else None."""
    examplewise: Callable[..., Callable[[PyTree], Array] | None] | None = None
    """`(variables, x[B,H,W,C], power) -> (params -> logits[B,K]) | None`: the network in eval mode on `x` with another
    derivative. Where a backward pass would give the gradient of a sum over examples, it gives the sum over them of
    |gradient of the example|^power (1 or 2). None, here or of a call: not known; see `junlearn.parts.gradients`."""
    layer_inputs: Callable[..., Mapping[tuple[str, ...], Array]] | None = None
    """`(variables, x[B,H,W,C]) -> {path in params: rows[B,P,D]}` in eval mode: what every dense layer and convolution
    multiplies by its kernel, whose axes but the last are D, at P positions. Layers of other kinds are not there, and
    None: none is known."""
    tables: tuple[Any, ...] = ()
    """The names of its arrays in PyTorch, a `junlearn.models.Table` for each library that has the network; the first is
    the one that is written. Empty: none are known."""

    def example(self, sources: Sources) -> Array:
        """Zeros [1,H,W,C] of the shape that the network takes: what `init` wants."""
        return jnp.zeros((1, *(self.input_shape or sources["train"].x.shape[1:])))

    def fresh(self, key: Key, sources: Sources) -> Variables:
        """A newly initialised network, drawn in one compiled program."""
        return jitted(self.init)(key, self.example(sources))

    def num_classes(self, variables: Variables, sources: Sources) -> int:
        """K, the number of logits."""
        return jax.eval_shape(self.apply, variables, self.example(sources))[0].shape[-1]

    @staticmethod
    def from_linen(
        module: Any,
        *,
        layers: tuple[str, ...] | None = None,
        input_shape: tuple[int, int, int] | None = None,
    ) -> "Model":
        """Wrap a Flax Linen module; see `junlearn.models.linen.from_linen`."""
        from junlearn.models import linen

        return linen.from_linen(module, layers=layers, input_shape=input_shape)

    @staticmethod
    def from_nnx(make: Callable[[Any], Any], *, layers: tuple[str, ...] | None = None) -> "Model":
        """Wrap a factory of Flax NNX modules; see `junlearn.models.nnx.from_nnx`."""
        from junlearn.models import nnx

        return nnx.from_nnx(make, layers=layers)
