"""Parity of the methods of the weight-saliency and sparsity releases with reference numbers, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import l1_sparse, salun
from junlearn.parts import feeds, l1
from junlearn.parts.feeds import cut
from junlearn.parts.saliency import largest
from junlearn.types import Data, Split
from tests.golden_nets import batches, close, drive, network, params, stats

pytestmark = pytest.mark.parity
KINDS = ("mlp", "cnn")
NONE = np.zeros(0, int)


@pytest.fixture(params=["float64", "float32"])
def rtol(request):
    with jax.enable_x64(request.param == "float64"):
        yield 1e-9 if request.param == "float64" else 1e-4


def comparable(tree):
    """Without the bias before BatchNorm, which has no gradient but rounding."""
    return {
        layer: {name: leaf for name, leaf in group.items() if (layer, name) != ("conv", "bias")}
        for layer, group in tree.items()
    }


def check(kind, case, variables, suffix, rtol):
    close(comparable(variables.params), comparable(params(kind, case, suffix)), rtol)
    if kind == "cnn" and f"bn_mean{suffix}" in case:
        close(variables.stats, stats(kind, case, suffix), rtol)


def forgetting(case):
    x = np.concatenate([case["x_forget"], case["x_retain"]])
    y = np.concatenate([case["y_forget"], case["y_retain"]])
    rows = np.arange(len(y))
    count = len(case["y_forget"])
    split = Split(rows[:count], rows[count:], NONE, NONE)
    return {"train": Data(jnp.asarray(x), jnp.asarray(y))}, split


def salun_masked(kind, case, **fields):
    """The method, its state once the mask is made, and its last stage."""
    model, variables = network(kind, case)
    config = salun.Config(
        learning_rate=float(case["learning_rate"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["weight_decay"]),
        batch_size=int(case["batch_size"]),
        epochs=int(case["n_epochs"]),
        **{"mask_ratio": float(case["mask_ratio"]), **fields},
    )
    method = salun.make(config, model)
    sources, split = forgetting(case)
    state = method.init(jax.random.key(0), variables, sources, split)
    *measuring, last = method.plan(split)
    for stage in measuring:
        state, _ = drive(stage, state, sources)
    return method, state, last


@pytest.mark.parametrize("kind", KINDS)
def test_salun_masks(kind, golden, rtol):
    case = golden(f"methods_2026_a/salun_{kind}")
    _, state, _ = salun_masked(kind, case)
    total = state.optimizer.total
    close(jax.tree.map(jnp.abs, total), params(kind, case, "_saliency"), rtol)
    for percent in (name[len("n_selected") :] for name in case if name.startswith("n_selected")):
        mask = largest(total, int(percent) / 100)
        jax.tree.map(np.testing.assert_array_equal, mask, params(kind, case, f"_mask{percent}"))
        assert sum(int(m.sum()) for m in jax.tree.leaves(mask)) == case[f"n_selected{percent}"]


@pytest.mark.parametrize("variant", ["fixed", "leaky"])
@pytest.mark.parametrize("passes", ["separate", "joint"])
@pytest.mark.parametrize("kind", KINDS)
def test_salun_training(kind, passes, variant, golden, rtol):
    case = golden(f"methods_2026_a/salun_{kind}")
    rule = {"fixed": "hard", "leaky": "gradient"}[variant]
    method, before, last = salun_masked(kind, case, mask=rule, passes=passes)
    data, feed = batches(case, passes)
    labels = before.extra._replace(targets=data.y, own=data.y)
    state, metrics = drive(last, before._replace(extra=labels), {"train": data}, feed)
    done = method.finish(state)
    check(kind, case, done, f"_{passes}_out_{variant}", rtol)
    close(np.array([m["loss"] for m in metrics]), case[f"{passes}_loss_{variant}"], rtol)
    moved = jax.tree.map(
        lambda m, a, b: float(jnp.abs(jnp.where(m, 0, a - b)).max()),
        *(state.optimizer.mask, done.params, before.variables.params),
    )
    if variant == "fixed":
        assert max(jax.tree.leaves(moved)) == 0
        first, _ = drive(last, before._replace(extra=labels), {"train": data}, cut(feed, 1))
        check(kind, case, first.variables, f"_{passes}_step1_fixed", rtol)
    else:
        # What is left of a difference of two close numbers has their rounding.
        np.testing.assert_allclose(
            max(jax.tree.leaves(moved)), case[f"{passes}_masked_drift"], rtol=1e3 * rtol
        )


@pytest.mark.parametrize("variant", ["decay", "tail"])
@pytest.mark.parametrize("kind", KINDS)
def test_l1_sparse(kind, variant, golden, rtol):
    case = golden(f"methods_2026_a/l1sparse_{kind}")
    model, variables = network(kind, case)
    size, epochs = int(case["batch_size"]), int(case["n_epochs"])
    config = l1_sparse.Config(
        learning_rate=float(case["learning_rate"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["weight_decay"]),
        l1=float(case["l1"]),
        free_epochs=int(case[f"no_l1_epochs_{variant}"]),
        epochs=epochs,
        batch_size=size,
    )
    method = l1_sparse.make(config, model)
    sources = {"train": Data(jnp.asarray(case["x_retain"]), jnp.asarray(case["y_retain"]))}
    rows = np.arange(len(case["y_retain"]))
    split = Split(NONE, rows, NONE, NONE)
    (stage,) = method.plan(split)
    start = method.init(jax.random.key(0), variables, sources, split)
    stored = feeds.joined([feeds.sequential(rows, size)] * epochs)
    first, _ = drive(stage, start, sources, cut(stored, 1))
    check(kind, case, first.variables, f"_step1_{variant}", rtol)
    state, metrics = drive(stage, start, sources, stored)
    done = method.finish(state)
    check(kind, case, done, f"_out_{variant}", rtol)
    # In float32 a loss has the rounding of logits, which are far larger than that of a fitted network.
    atol = 1e-6 if rtol > 1e-6 else 1e-15
    losses = np.array([m["loss"] for m in metrics])
    np.testing.assert_allclose(losses, case[f"ce_{variant}"], rtol=rtol, atol=atol)
    weights = l1.coefficient(config.l1, epochs, config.free_epochs, len(stored.index) // epochs)
    close(
        np.array([weights(t) for t in range(len(stored.index))]),
        case[f"l1_coefficient_{variant}"],
        rtol,
    )
    zeros = sum(int((leaf == 0).sum()) for leaf in jax.tree.leaves(done.params))
    assert zeros == case[f"exact_zeros_{variant}"]
