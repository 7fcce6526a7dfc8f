"""Mean and covariance of a network's features class by class, of which a file beside a model can be made.

For features z[D] of a class k with n_k examples:

    (1)  u = z^delta  elementwise (Tukey), or  sign(z) |z|^delta  (signed)
    (2)  mu_k = mean u,   Sigma_k = 1/(n_k - 1) sum (u - mu_k)(u - mu_k)^T

Equation 2 runs over batches: each batch's means and scatter about them are merged into the totals (Chan, Golub,
LeVeque), so memory is that of the result, K D^2 numbers, whatever N is, and nothing cancels in float32.

`Moments` are all that is needed of the training data. `save` writes them beside a model and `load` reads them, so that
what compares with classes later (`junlearn.parts.whitening`) needs no training data.
"""

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from junlearn.compiler import jitted
from junlearn.errors import ConfigError, DamagedError, DataError
from junlearn.files import array_digest, replacing, seal, unseal
from junlearn.memo import remembered
from junlearn.parts import feeds
from junlearn.types import Array, Data, Model, Variables, View

__all__ = [
    "Moments",
    "TukeyPower",
    "accumulate",
    "check_moments",
    "collect",
    "empty",
    "load",
    "named",
    "save",
    "tukey",
]

FORMAT = 1
"""Number of the file format of `save`."""
SEAL = "class statistics"
EXACT = lax.Precision.HIGHEST


class TukeyPower(NamedTuple):
    """Equation 1."""

    delta: float = 0.5
    signed: bool = False
    """Take the power of the absolute value and keep the sign: for features that can be negative."""


class Moments(NamedTuple):
    """Equation 2. A class without examples has count 0."""

    count: Array  # type: ignore[assignment]  # the name of a tuple method, kept for its meaning
    """float[K]: n_k."""
    mean: Array
    """float[K,D]: mu_k."""
    scatter: Array
    """float[K,D,D]: (n_k - 1) Sigma_k."""


def tukey(features: Array, power: TukeyPower) -> Array:
    """Equation 1, with derivative 0 at 0. Negative features under a fractional unsigned power become NaN."""
    if power.signed:
        safe = jnp.where(features == 0, 1, jnp.abs(features))
        return jnp.where(features == 0, 0, jnp.sign(features) * safe**power.delta)
    safe = jnp.where(features == 0, 1, features)
    return jnp.where(features == 0, 0, safe**power.delta)


def empty(classes: int, width: int, dtype: jnp.dtype) -> Moments:
    """The moments of no data."""
    return Moments(
        jnp.zeros(classes, dtype),
        jnp.zeros((classes, width), dtype),
        jnp.zeros((classes, width, width), dtype),
    )


def accumulate(moments: Moments, u: Array, labels: Array, mask: Array) -> Moments:
    """Equation 2 with the rows of `u[B,D]` where `mask[B]` is True added to the classes `labels[B]`."""
    classes = moments.count.shape[0]
    belongs = (labels[:, None] == jnp.arange(classes)[None]) & mask[:, None]
    u = jnp.where(mask[:, None], u, 0)
    count = belongs.sum(0).astype(u.dtype)
    total = jnp.matmul(belongs.T.astype(u.dtype), u, precision=EXACT)
    mean = total / jnp.maximum(count, 1)[:, None]
    shift = mean - moments.mean
    whole = jnp.maximum(moments.count + count, 1)

    def merge(part: tuple[Array, ...]) -> Array:
        scatter, rows, centre, shift, weight = part
        centred = jnp.where(rows[:, None], u - centre[None], 0)
        within = jnp.matmul(centred.T, centred, precision=EXACT)
        return scatter + within + weight * jnp.outer(shift, shift)

    weight = moments.count * count / whole
    scatter = lax.map(merge, (moments.scatter, belongs.T, mean, shift, weight))
    mean = moments.mean + shift * (count / whole)[:, None]
    return Moments(moments.count + count, mean, scatter)


def check_moments(moments: Moments, power: TukeyPower) -> None:
    """Raises ConfigError where features were negative under a fractional power, or a class has a single example."""
    if not np.isfinite(np.asarray(moments.mean)).all():
        hint = "" if power.signed else "; for features that can be negative set signed=True"
        raise ConfigError(f"features to the power delta={power.delta} are not finite{hint}")
    single = np.flatnonzero(np.asarray(moments.count) == 1).tolist()
    if single:
        raise ConfigError(
            f"a covariance needs 2 examples of a class; there is one only of {named(single)}"
        )


def collect(
    model: Model,
    variables: Variables,
    data: Data,
    indices: np.ndarray | None = None,
    *,
    view: View,
    power: TukeyPower,
    batch_size: int = 512,
) -> Moments:
    """Equations 1 and 2 of the embeddings of the rows `indices` of `data` (None: all), in eval mode: what to `save`."""
    data = jax.tree.map(jnp.asarray, data)
    rows = np.arange(data.y.shape[0]) if indices is None else indices
    feed = feeds.sequential(rows, min(batch_size, len(rows)))
    features, step = _collecting(model, view, power)
    logits, embedding = jax.eval_shape(features, variables, data, feed.index[0])
    moments = empty(logits.shape[1], embedding.shape[1], embedding.dtype)
    for index, mask in zip(feed.index, feed.mask, strict=True):
        moments = step(moments, variables, data, index, mask)
    check_moments(moments, power)
    return moments


@remembered
def _collecting(model: Model, view: View, power: TukeyPower) -> tuple[Callable, Any]:
    """Logits and embedding of rows of the data, and the compiled step that adds them to the moments.

    The data is an argument: as a constant it would be a part of the program, which is as large then.
    """

    def features(variables: Variables, data: Data, index: Array) -> tuple[Array, Array]:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(0), index)
        logits, features, _ = model.apply(variables, view(data.take(index), keys))
        return logits, features["embedding"]

    @jitted
    def step(
        moments: Moments, variables: Variables, data: Data, index: Array, mask: Array
    ) -> Moments:
        u = tukey(features(variables, data, index)[1], power)
        return accumulate(moments, u, data.y[index], mask)

    return features, step


def save(path: str | os.PathLike, moments: Moments, power: TukeyPower) -> None:
    """Write `moments` and how they were made to one `.npz` file, in one step: a file that exists is whole."""
    meta = {"format": FORMAT, "delta": power.delta, "signed": power.signed}
    sealed = np.frombuffer(seal(_content(moments, power), SEAL).encode(), np.uint8)
    arrays: dict[str, Any] = {**meta, **moments._asdict(), "seal": sealed}
    with replacing(Path(path)) as file:
        np.savez(file, **arrays)


def load(path: str | os.PathLike) -> tuple[Moments, TukeyPower]:
    """What `save` wrote; nothing in the file is run.

    Raises DataError for a file that is missing, damaged, changed, of an earlier version or something else.
    """
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            number = int(file["format"])
            if number != FORMAT:
                raise DataError(f"{path}: class statistics of format {number}, not {FORMAT}")
            moments = Moments(*(file[name] for name in Moments._fields))
            power = TukeyPower(float(file["delta"]), bool(file["signed"]))
            sealed = file["seal"].tobytes() if "seal" in file else None
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file of class statistics") from None
    except (OSError, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is not a file of class statistics ({error})") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error})") from error
    classes, width = moments.mean.shape if moments.mean.ndim == 2 else (0, 0)
    shapes = ((classes,), (classes, width), (classes, width, width))
    if tuple(a.shape for a in moments) != shapes or any(a.dtype.kind != "f" for a in moments):
        raise DataError(f"{path}: the arrays do not have the shapes of class statistics")
    if not all(np.isfinite(a).all() for a in moments) or (moments.count < 0).any():
        raise DataError(f"{path}: class statistics with entries that are not finite")
    if sealed is None:
        raise DataError(f"{path} was written before class statistics had checksums: write it again")
    try:
        whole = unseal(sealed, SEAL) == _content(moments, power)
    except DamagedError as error:
        raise DataError(f"{path} is damaged ({error}): write it again") from error
    if not whole:
        raise DataError(f"{path} is damaged (it is not as it was written): write it again")
    return moments, power


def _content(moments: Moments, power: TukeyPower) -> dict[str, Any]:
    """What a file says, in short."""
    digests = {n: array_digest(np.asarray(array)) for n, array in moments._asdict().items()}
    return {"delta": float(power.delta), "signed": bool(power.signed), "digests": digests}


def named(classes: list[int]) -> str:
    """As in `class 3` and `classes 3, 4`."""
    return f"class{'es' if len(classes) > 1 else ''} {', '.join(map(str, classes))}"
