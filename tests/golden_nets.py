"""The two tiny networks of the reference cases, and their weights as variables."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from junlearn.engine.batches import gather, specify
from junlearn.models.modules import BatchNorm, Conv, Dense
from junlearn.types import Data, Feed, Model, Variables

VIEWS = {"eval": lambda rows, keys: rows.x}


class Mlp(nn.Module):
    """z = (relu(x W1 + b1) W2 + b2) W3 + b3."""

    widths: tuple[int, int, int]

    @nn.compact
    def __call__(self, x):
        x = nn.relu(Dense(self.widths[0], name="fc1")(x))
        x = Dense(self.widths[1], name="fc2")(x)
        return Dense(self.widths[2], name="fc3")(x)


class Cnn(nn.Module):
    """Convolution, BatchNorm, relu, mean over the positions, linear."""

    classes: int

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        x = Conv(4, (3, 3), padding=((1, 1), (1, 1)), name="conv")(x)
        x = nn.relu(BatchNorm(name="norm")(x, train=train, mask=mask))
        return Dense(self.classes, name="fc")(x.mean((1, 2)))


NAMES = {
    "mlp": {
        ("fc1", "kernel"): "W1",
        ("fc1", "bias"): "b1",
        ("fc2", "kernel"): "W2",
        ("fc2", "bias"): "b2",
        ("fc3", "kernel"): "W3",
        ("fc3", "bias"): "b3",
    },
    "cnn": {
        ("conv", "kernel"): "K1",
        ("conv", "bias"): "bk1",
        ("norm", "scale"): "gamma",
        ("norm", "bias"): "beta",
        ("fc", "kernel"): "W",
        ("fc", "bias"): "b",
    },
}


def network(kind: str, case: dict[str, np.ndarray]) -> tuple[Model, Variables]:
    """The model and the weights before."""
    if kind == "mlp":
        widths = tuple(int(case[name].shape[-1]) for name in ("W1", "W2", "W3"))
        model = Model.from_linen(Mlp(widths), layers=("fc1", "fc2", "fc3"))
        return model, Variables(params(kind, case, ""), {})
    model = Model.from_linen(Cnn(case["W"].shape[-1]), layers=("conv", "norm", "fc"))
    running = {"mean": jnp.asarray(case["bn_mean"]), "var": jnp.asarray(case["bn_var"])}
    return model, Variables(params(kind, case, ""), {"batch_stats": {"norm": running}})


def params(kind: str, case: dict[str, np.ndarray], suffix: str):
    """The arrays of a case with one suffix, as a tree of parameters."""
    tree: dict = {}
    for (layer, leaf), name in NAMES[kind].items():
        tree.setdefault(layer, {})[leaf] = jnp.asarray(case[name + suffix])
    return tree


def batches(case: dict[str, np.ndarray], prefix: str = "batch") -> tuple[Data, Feed]:
    """Given batches of unequal size as a source, and the feed that deals them out."""
    lengths = case[f"{prefix}_len"]
    widest = int(lengths.max())
    ends = np.cumsum(lengths)
    index = np.stack(
        [
            np.minimum(np.arange(widest) + end - n, end - 1)
            for n, end in zip(lengths, ends, strict=True)
        ]
    )
    mask = np.arange(widest)[None, :] < lengths[:, None]
    data = Data(jnp.asarray(case[f"{prefix}_x"]), jnp.asarray(case[f"{prefix}_y"]))
    return data, Feed(index.astype(np.int32), mask)


def drive(stage, state, sources, feed=None):
    """One epoch of a stage without the driver: the state after, and the metrics of each step."""
    spec, rows = specify(stage.feed(np.random.default_rng(0), state) if feed is None else feed)
    step = jax.jit(stage.step)
    metrics = []
    for t in range(rows[0][0].shape[0]):
        row = jax.tree.map(lambda array, t=t: array[t], rows)
        state, values = step(state, gather(spec, row, sources, VIEWS, jax.random.key(0)))
        metrics.append(values)
    return state, metrics
