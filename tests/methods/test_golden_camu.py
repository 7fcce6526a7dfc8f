"""CaMU against reference numbers: the counterfactual set, whole iterations in float64, a class that is repeated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import camu
from junlearn.parts import relabelling
from junlearn.parts.descent import Descent, updater
from junlearn.types import Batch, Data, Split, Variables
from tests.golden_nets import close, network, params, stats

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


def test_counterfactual_set_of_the_reference(golden):
    case = golden("laf_camu/camu_counterfactual")
    forget, sample = case["order_forget"], case["order_sample"]
    y_f, y_s = (jnp.asarray(case[n][o]) for n, o in (("y_forget", forget), ("y_sample", sample)))
    np.testing.assert_array_equal(y_f == y_s, case["clash"])
    ours = relabelling.separate(y_f, y_s, jnp.asarray(case["replacement_rank"]))
    np.testing.assert_array_equal(ours, case["pair_y_t"])
    shared = relabelling.shared_candidates(y_f, int(case["n_classes"]))
    np.testing.assert_array_equal(np.flatnonzero(shared), case["original_candidates"])
    released = relabelling.separate(y_f, y_s, jnp.asarray(case["original_rank"]), shared)
    np.testing.assert_array_equal(released, case["original_pair_y_t"])
    np.testing.assert_array_equal(y_f, case["pair_y_f"])
    np.testing.assert_array_equal(case["x_sample"][sample] + case["noise"], case["pair_x_t"])


def padded(size, x, y, slots):
    """A batch of `size` rows, the last ones masked and wild."""
    missing = size - len(x)
    x = np.concatenate([x, np.full((missing, *x.shape[1:]), 7.0)])
    y, slots = (np.concatenate([a, np.zeros(missing, int)]) for a in (y, slots))
    mask = np.arange(size) < size - missing
    return Batch(*map(jnp.asarray, (x, y, slots, mask, slots)))


def weights(kind, case, suffix):
    """Parameters and running statistics with one suffix."""
    return Variables(params(kind, case, suffix), stats(kind, case, suffix))


@pytest.mark.parametrize("kind", ["mlp", "convbn"])
def test_iterations_of_the_reference(kind, golden, float64):
    """Losses, gradients, all weights after (i) and (ii) and running statistics; the last batches are ragged."""
    case = golden(f"laf_camu/camu_iterations_{kind}")
    model, variables = network(kind, case)
    head = model.layers[-1]
    config = camu.Config(
        noise=0.0,
        representation_learning_rate=float(case["lr_rep"]),
        output_learning_rate=float(case["lr_out"]),
        weight_decay=float(case["weight_decay"]),
        retain_weight=float(case["w_remain"]),
        forget_weight=float(case["w_forget"]),
    )
    count = range(int(case["n_iter"]))
    y_t = np.concatenate([case[f"y_t_{k}"] for k in count])
    pairs, kept = ([len(case[f"y_{name}_{k}"]) for k in count] for name in ("t", "r"))
    size, first, total = max(*pairs, *kept), sum(pairs), sum(pairs) + sum(kept)
    x = jnp.zeros((total, *case["x_f_0"].shape[1:]))
    sources = {"train": Data(x, jnp.zeros(total, int))}
    split = Split(np.arange(first), np.arange(first, total), NONE, NONE)
    method = camu.make(config, model)
    state = method.init(jax.random.key(0), variables, sources, split)
    state = state._replace(table=state.table._replace(labels=jnp.asarray(y_t)))
    embed, step = (jax.jit(stage.step) for stage in method.plan(split))
    represent = camu.representation_loss(model)
    update = jax.jit(updater(represent, camu.transformations(config, model)[0]))
    # Each pair has a place, and behind these each image of D_s: in the reference these may be more.
    state = state._replace(targets=jnp.zeros((total, *state.targets.shape[1:])))
    rows = np.split(np.arange(first), np.cumsum(pairs)[:-1])
    others = np.split(np.arange(first, total), np.cumsum(kept)[:-1])
    for k in count:
        for name, slots in (("t", rows[k]), ("r", others[k])):
            state, _ = embed(state, padded(size, case[f"x_{name}_{k}"], slots, slots))

    for k in count:
        relabelled = padded(size, case[f"x_f_{k}"], case[f"y_t_{k}"], rows[k])
        batch = {
            "forget": relabelled,
            "retain": padded(size, case[f"x_r_{k}"], case[f"y_r_{k}"], others[k]),
        }
        extra = {name: state.targets[part.slot] for name, part in batch.items()}
        half = Descent(state.variables, state.representation, state.key, state.step, extra)
        if k == 0:
            descent = jax.jit(jax.grad(represent, has_aux=True))
            gradient = descent(variables.params, half, batch, state.key)[0]
            # The true gradient of the convolution's bias under batch statistics is 0.
            for name, leaves in params(kind, case, prefix="gREP_").items():
                for leaf, expected in leaves.items():
                    np.testing.assert_allclose(
                        gradient[name][leaf], expected, rtol=1e-9, atol=1e-12
                    )
        after, _ = update(half, batch, state.key)
        close(after.variables, weights(kind, case, f"_rep{k}"))
        if k == 0:
            kernel = after.variables.params[head]["kernel"]
            np.testing.assert_array_equal(kernel, variables.params[head]["kernel"])
            # A decay of the head would have moved every weight by about the rate.
            wrong = params(kind, case, prefix="wrong_")[head]["kernel"]
            assert np.abs(kernel - wrong).min() > case["lr_rep"] / 4
        unlabelled = relabelled._replace(y=jnp.full_like(relabelled.y, -1))
        state, metrics = step(state, {**batch, "forget": unlabelled})
        close(state.variables, weights(kind, case, f"_it{k}"))
        for name, theirs in {
            "representation_loss": "L_rep",
            "output_loss": "L_out",
            "retain_divergence": "kl_remain",
            "forget_divergence": "kl_forget",
            "retain_loss": "ce_remain",
            "forget_loss": "ce_forget",
        }.items():
            assert float(metrics[name]) == pytest.approx(case[theirs][k], rel=1e-9), name
    close(method.finish(state), weights(kind, case, "_out"))


def test_repeated_class_as_in_the_reference(golden, mlp):
    """CIFAR-100: a class ten times over, and ten times as many different images of the others."""
    case = golden("laf_camu/index_camu")
    forget = np.unique(case["repeat10_forget"])
    repeat, once = len(case["repeat10_forget"]) // len(forget), len(forget)
    np.testing.assert_array_equal(
        case["repeat10_forget"], np.tile(case["repeat10_forget"][:once], repeat)
    )
    split = Split(forget, np.sort(case["repeat10_remain"]), NONE, NONE)
    total = len(forget) + len(split.retain)
    labels = np.isin(np.arange(total), forget).astype(np.int32)
    sources = {"train": Data(jnp.zeros((total, 4, 4, 1)), jnp.asarray(labels))}
    method = camu.make(camu.Config(repeat=repeat), mlp.model)
    table = method.init(jax.random.key(0), mlp.variables, sources, split).table
    np.testing.assert_array_equal(np.sort(table.forget), np.sort(case["repeat10_forget"]))
    assert len(np.unique(table.treatment)) == len(case["repeat10_sample"])
    assert np.isin(table.treatment, case["repeat10_remain"]).all()
