"""A variational autoencoder of embeddings: LAF's model of what a set of examples looks like to a network.

E -> 128 -> 32 -> (mu, log-variance), L wide each; L -> 32 -> 128 -> E; ReLU between, and a sigmoid at the end unless
the decoder is linear.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from junlearn.compiler import jitted
from junlearn.models.modules import Dense
from junlearn.types import Array, Key, PyTree

__all__ = ["EmbeddingVae", "Vae", "make_vae"]


class Vae(NamedTuple):
    """Three pure functions."""

    init: Callable[[Key, int], PyTree]
    """`(key, E) -> params`."""
    apply: Callable[[PyTree, Array, Array], tuple[Array, Array, Array]]
    """`(params, e[B,E], noise[B,L]) -> (reconstruction[B,E], mu[B,L], logvar[B,L])`."""
    draw: Callable[[Key, Array], Array]
    """`(key, index[B]) -> noise[B,L]`, standard normal: that of a row depends on the key and on its index alone."""


class EmbeddingVae(nn.Module):
    """Encoder and decoder; `hidden` are the widths of the encoder's layers, the decoder has them in reverse."""

    hidden: tuple[int, ...] = (128, 32)
    latent: int = 8
    decoder: Literal["sigmoid", "linear"] = "sigmoid"

    @nn.compact
    def __call__(self, e: Array, noise: Array) -> tuple[Array, Array, Array]:
        """`(e[B,E], noise[B,L]) -> (reconstruction[B,E], mu[B,L], logvar[B,L])`; standard normal noise samples."""
        h = e
        for number, width in enumerate(self.hidden, start=1):
            h = nn.relu(Dense(width, name=f"encoder{number}")(h))
        mu, logvar = Dense(self.latent, name="mu")(h), Dense(self.latent, name="logvar")(h)
        h = mu + jnp.exp(logvar / 2) * noise
        for number, width in enumerate(reversed(self.hidden), start=1):
            h = nn.relu(Dense(width, name=f"decoder{number}")(h))
        out = Dense(e.shape[-1], name="out")(h)
        return (nn.sigmoid(out) if self.decoder == "sigmoid" else out), mu, logvar


def make_vae(
    hidden: Sequence[int], latent: int, decoder: Literal["sigmoid", "linear"] = "sigmoid"
) -> Vae:
    """The VAE as pure functions: all its randomness is the noise that it is given."""
    module = EmbeddingVae(tuple(hidden), latent, decoder)

    @partial(jitted, static_argnums=1)
    def init(key: Key, width: int) -> PyTree:
        return module.init(key, jnp.zeros((1, width)), jnp.zeros((1, latent)))["params"]

    def apply(params: PyTree, e: Array, noise: Array) -> tuple[Array, Array, Array]:
        out: Any = module.apply({"params": params}, e, noise)
        return out

    def draw(key: Key, index: Array) -> Array:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, index)
        return jax.vmap(lambda key: jax.random.normal(key, (latent,)))(keys)

    return Vae(init, apply, draw)
