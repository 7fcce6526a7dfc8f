"""Parity of NegMerge, AMUN and MU-Mis with reference numbers, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import amun, mu_mis, negmerge
from junlearn.parts import descent, task_vectors
from junlearn.parts.adversarial import nearest
from junlearn.parts.descent import updater
from junlearn.parts.feeds import cut
from junlearn.parts.optimizers import transformation
from junlearn.types import Batch, Data, Split
from tests.golden_nets import batches, close, drive, network, params, stats

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


@pytest.fixture(params=["float64", "float32"])
def rtol(request):
    with jax.enable_x64(request.param == "float64"):
        yield 1e-9 if request.param == "float64" else 1e-4


def comparable(tree):
    """Without the bias before BatchNorm, which has no gradient but rounding."""
    bias = {name: leaf for name, leaf in tree.get("conv", {}).items() if name != "bias"}
    return {**tree, "conv": bias} if bias else tree


def forgetting(case):
    """The forget rows of a case as the source, all of them to be forgotten."""
    data = Data(jnp.asarray(case["x_forget"]), jnp.asarray(case["y_forget"]))
    return {"train": data}, Split(np.arange(len(data.y)), NONE, NONE, NONE)


def test_negmerge(golden, rtol):
    case = golden("methods_2026_a/negmerge_mlp")
    model, variables = network("mlp", case)
    candidates = params("mlp", case, "_candidates")
    found = task_vectors.empty(variables)
    for number in range(len(case["W1_candidates"])):
        one = jax.tree.map(lambda stack, number=number: stack[number], candidates)
        found = task_vectors.observe(found, variables, variables._replace(params=one))
    vector = task_vectors.merged(found).params
    close(vector, params("mlp", case, "_merged"), rtol)
    kept = sum(int(jnp.count_nonzero(leaf)) for leaf in jax.tree.leaves(vector))
    assert kept == case["kept"]
    scale = negmerge.choose(
        case["coefficients"], case["forget_metric"], case["control_metric"], case["control_floor"]
    )
    assert scale == case["best_coefficient"]
    method = negmerge.make(negmerge.Config(scale=scale), model)
    sources, split = forgetting(case)
    state = method.init(jax.random.key(0), variables, sources, split)
    state = state._replace(consensus=found)
    close(method.finish(state).params, params("mlp", case, "_out"), rtol)
    assert float(method.report(state)["negmerge/kept"]) == pytest.approx(kept / case["total"])


def trained_with(config, model, variables, data, feed):
    """One epoch of the last stage of AMUN on given batches, which hold the adversarial examples as images."""
    method = amun.make(config, model)
    split = Split(np.arange(2), np.arange(2), NONE, NONE)
    state = method.init(jax.random.key(0), variables, {"train": data}, split)
    beside = feed._replace(mask=np.zeros_like(feed.mask), slot=np.zeros_like(feed.index))
    stage = method.plan(split)[1]
    return drive(stage, state, {"train": data}, {"data": feed, "neighbours": beside})


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_amun(kind, golden, rtol):
    case = golden(f"methods_2026_a/amun_{kind}")
    model, variables = network(kind, case)
    config = amun.Config(
        learning_rate=float(case["learning_rate"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["weight_decay"]),
        eps0=float(case["eps0"]),
        steps=int(case["steps"]),
        decay_every=10**6,
        augment=False,
    )
    method = amun.make(config, model)
    sources, split = forgetting(case)
    state = method.init(jax.random.key(0), variables, sources, split)
    state, _ = drive(method.plan(split)[0], state, sources)
    table, exact = state.extra, rtol < 1e-6
    assert table.found.all() and method.report(state)["amun/failures"] == 0
    sure = np.full(len(split.forget), True) if exact else case["margin"] > 1e-2
    np.testing.assert_array_equal(table.labels[sure], case["y_adv"][sure])
    distance = np.sqrt(np.square(table.shift).sum(axis=tuple(range(1, table.shift.ndim))))
    np.testing.assert_allclose(distance, case["distance"], rtol=1e-9 if exact else 1e-3, atol=1e-9)
    if exact:
        close(sources["train"].x + table.shift, case["x_adv"], rtol)
    whole = Batch(*sources["train"][:2], jnp.arange(len(sure)), jnp.ones(len(sure), bool))
    found = nearest(
        *(model, variables, whole, table.black, table.white),
        eps0=config.eps0,
        steps=config.steps,
        doublings=config.doublings,
    )
    np.testing.assert_allclose(found.radius[sure], case["eps"][sure], rtol=1e-6)

    lengths = np.full(-(-len(case["batch_y"]) // int(case["batch_size"])), case["batch_size"])
    lengths[-1] = len(case["batch_y"]) - lengths[:-1].sum()
    data, feed = batches({**case, "batch_len": lengths})
    first, _ = trained_with(config, model, variables, data, cut(feed, 1))
    after, metrics = trained_with(config, model, variables, data, feed)
    close(comparable(first.variables.params), comparable(params(kind, case, "_step1")), rtol)
    close(comparable(after.variables.params), comparable(params(kind, case, "_out")), rtol)
    close(after.variables.stats, stats(kind, case, "_out"), rtol)
    close(np.array([m["loss"] for m in metrics]), case["loss"], rtol)


def test_mu_mis(golden, rtol):
    case = golden("methods_2026_a/mumis_mlp")
    model, variables = network("mlp", case)
    x, y = jnp.asarray(case["x_forget"]), jnp.asarray(case["y_forget"])
    other = jnp.asarray(case["y_other"])
    own, irrelevant = mu_mis.sensitivities(model, variables, x, y, other[0])
    close(own, case["target_sensitivity"], rtol)
    close(irrelevant, case["other_sensitivity"], rtol)

    loss = mu_mis.objective(model)
    tx = transformation(mu_mis.Config(learning_rate=float(case["learning_rate"])))
    state = descent.init(jax.random.key(0), variables, tx)
    batch = Batch(x, y, jnp.arange(len(y)), jnp.ones(len(y), bool))
    gradient, _ = jax.grad(loss, has_aux=True)(variables.params, state, batch, other[0])
    close(gradient, params("mlp", case, "_grad1"), rtol)
    update, values = jax.jit(updater(loss, tx)), []
    for number, drawn in enumerate(other):
        state, metrics = update(state, batch, drawn)
        values.append(metrics["loss"])
        if number == 0:
            close(state.variables.params, params("mlp", case, "_step1"), rtol)
    close(state.variables.params, params("mlp", case, "_out"), rtol)
    close(np.array(values), case["loss"], rtol)
