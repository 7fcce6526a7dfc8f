"""The tiny networks of the reference cases in the sizes of their weights, and what the parity tests share."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from junlearn.engine.batches import gather, specify
from junlearn.models.modules import BatchNorm, Conv, Dense
from junlearn.types import Data, Feed, Model, Variables

VIEWS = {"eval": lambda rows, keys: rows.x}


def close(ours, reference, rtol=1e-9):
    """Every leaf, to `rtol` of its entries and of its largest one."""

    def leaf(a, b):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * float(np.abs(b).max()))

    jax.tree.map(leaf, ours, reference)


class Mlp(nn.Module):
    """z = (relu(x W1 + b1) W2 + b2) W3 + b3; with more layers, a relu follows all but the last two."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        for number, width in enumerate(self.widths, start=1):
            x = Dense(width, name=f"fc{number}")(x)
            if number < len(self.widths) - 1:
                x = nn.relu(x)
        return x


class Cnn(nn.Module):
    """Convolution, BatchNorm, relu, mean over the positions, linear."""

    channels: int
    classes: int
    size: int = 3
    """Height and width of the kernel, padded so that the image keeps its own."""
    epsilon: float = 1e-5
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        padding = ((self.size // 2,) * 2,) * 2
        x = Conv(self.channels, (self.size,) * 2, padding=padding, name="conv")(x)
        norm = BatchNorm(self.momentum, self.epsilon, name="norm")
        x = nn.relu(norm(x, train=train, mask=mask))
        return Dense(self.classes, name="fc")(x.mean((1, 2)))


CONVOLUTIONAL = {
    "cnn": ("K1", "bk1", "gamma", "beta", "W", "b"),
    "convbn": ("K", "cb", "bn_scale", "bn_bias", "Wh", "bh"),
}
"""What the cases call the arrays of `Cnn`, by the kind of network: in jit_ssd, and in laf_camu."""
LEAVES = (
    ("conv", "kernel"),
    ("conv", "bias"),
    ("norm", "scale"),
    ("norm", "bias"),
    ("fc", "kernel"),
    ("fc", "bias"),
)


def names(kind: str, case: dict[str, np.ndarray]) -> dict[tuple[str, str], str]:
    """Layer and leaf of every parameter, and its name in the case; an "mlp" has as many layers as the case has W's."""
    if kind != "mlp":
        return dict(zip(LEAVES, CONVOLUTIONAL[kind], strict=True))
    found, number = {}, 1
    while f"W{number}" in case:
        found[f"fc{number}", "kernel"], found[f"fc{number}", "bias"] = f"W{number}", f"b{number}"
        number += 1
    return found


def params(kind: str, case: dict[str, np.ndarray], suffix: str = "", prefix: str = ""):
    """The arrays of a case with one suffix and prefix, as a tree of parameters: of the layers that it has them for."""
    tree: dict = {}
    for (layer, leaf), name in names(kind, case).items():
        stored = f"{prefix}{name}{suffix}"
        if stored in case:
            tree.setdefault(layer, {})[leaf] = jnp.asarray(case[stored])
    assert tree, f"no parameters {prefix}..{suffix}"
    return tree


def stats(kind: str, case: dict[str, np.ndarray], suffix: str = ""):
    """The running statistics of a case with one suffix, as the network has them."""
    if kind == "mlp":
        return {}
    running = {name: jnp.asarray(case[f"bn_{name}{suffix}"]) for name in ("mean", "var")}
    return {"batch_stats": {"norm": running}}


def network(kind: str, case: dict[str, np.ndarray]) -> tuple[Model, Variables]:
    """The model and the weights before."""
    before = Variables(params(kind, case), stats(kind, case))
    if kind == "mlp":
        widths = tuple(layer["kernel"].shape[1] for layer in before.params.values())
        return Model.from_linen(Mlp(widths), layers=tuple(before.params)), before
    module = Cnn(
        channels=before.params["conv"]["kernel"].shape[-1],
        classes=before.params["fc"]["kernel"].shape[-1],
        size=before.params["conv"]["kernel"].shape[0],
        epsilon=float(case.get("bn_eps", Cnn.epsilon)),
        momentum=1 - float(case["bn_momentum"]) if "bn_momentum" in case else Cnn.momentum,
    )
    return Model.from_linen(module, layers=("conv", "norm", "fc")), before


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
