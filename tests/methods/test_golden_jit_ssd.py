"""Parity with reference numbers of SSD, Fisher forgetting, amnesiac relabelling and supervised training, in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import finetune, fisher, random_labels, ssd
from junlearn.parts import descent
from junlearn.parts.importance import percentile_of_ratios
from junlearn.parts.optimizers import transformation
from junlearn.parts.relabelling import relabel
from junlearn.types import Data, Split
from tests.golden_nets import batches, close, drive, network, params, stats

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("float64")]
KINDS = ("mlp", "cnn")


def forgetting(case):
    """The source and the split of a case: retain rows first, as in the full set of the reference."""
    x = np.concatenate([case["x_retain"], case["x_forget"]])
    y = np.concatenate([case["y_retain"], case["y_forget"]])
    retain = np.arange(len(case["x_retain"]))
    none = np.zeros(0, int)
    split = Split(np.arange(len(retain), len(x)), retain, none, none)
    return {"train": Data(jnp.asarray(x), jnp.asarray(y))}, split


def ssd_state(kind, case, **fields):
    model, variables = network(kind, case)
    sources, split = forgetting(case)
    config = ssd.Config(batch_size=int(case["batch_size"]), **fields)
    method = ssd.make(config, model)
    state = method.init(jax.random.key(0), variables, sources, split)
    for stage in method.plan(split):
        state, _ = drive(stage, state, sources)
    return method, state, variables


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("importance", ["example", "batch"])
def test_ssd_importance(kind, importance, golden):
    case = golden(f"jit_ssd/ssd_{kind}")
    _, state, _ = ssd_state(kind, case, importance=importance)
    close(state.forget.mean(), params(kind, case, f"_If_{importance}"))
    close(state.reference.mean(), params(kind, case, f"_ID_{importance}"))


@pytest.mark.parametrize("kind", KINDS)
def test_ssd_result(kind, golden):
    case = golden(f"jit_ssd/ssd_{kind}")
    names = {"alpha": float(case["alpha_example"]), "dampening": float(case["lam_example"])}
    method, state, variables = ssd_state(kind, case, **names)
    done = method.finish(state)
    close(done.params, params(kind, case, "_out_example"))
    chex.assert_trees_all_equal(done.stats, variables.stats)


LABEL_FREE = {"importance": "batch", "power": 1, "order": "stored"}


@pytest.mark.parametrize("kind", KINDS)
def test_lfssd(kind, golden):
    case = golden(f"jit_ssd/ssd_{kind}")
    names = {"alpha": float(case["alpha_lfssd"]), "dampening": float(case["lam_lfssd"])}
    method, state, _ = ssd_state(kind, case, loss="squared_norm", **LABEL_FREE, **names)
    close(state.forget.mean(), params(kind, case, "_If_lfssd"))
    close(state.reference.mean(), params(kind, case, "_ID_lfssd"))
    close(method.finish(state).params, params(kind, case, "_out_lfssd"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threshold", ["percentile", "adaptive"])
def test_potion(kind, threshold, golden):
    case = golden(f"jit_ssd/ssd_{kind}")
    method, state, _ = ssd_state(
        kind,
        case,
        loss="norm",
        denominator="retain",
        threshold=threshold,
        percentile=float(case["potion_percentile"]),
        **LABEL_FREE,
    )
    forget, retain = state.forget.mean(), state.reference.mean()
    close(forget, params(kind, case, "_If_potion"))
    close(retain, params(kind, case, "_Ir_potion"))
    found = percentile_of_ratios(forget, retain, case["potion_percentile"])
    np.testing.assert_allclose(found, case["potion_threshold"], rtol=1e-9)
    state = state._replace(share=jnp.float64(case["potion_s"]))
    close(method.finish(state).params, params(kind, case, "_out_potion"))


def test_ssd_over_the_retain_set(golden):
    case = golden("scar_corrective/15_ssd")
    model, variables = network("mlp", case)
    data = {
        name: batches({**case, f"{name}_len": case[f"{name}_sizes"]}, name)
        for name in ("forget", "retain")
    }
    none = np.zeros(0, int)
    # As many batches of one as there are batches: the step goes on to the second sum after so many.
    split = Split(np.arange(2), np.arange(len(data["retain"][1].index)), none, none)
    kind = {"importance": "batch", "denominator": "retain", "batch_size": 1}
    for i, (alpha, lam) in enumerate(zip(case["selection_weight"], case["dampening"], strict=True)):
        config = ssd.Config(**kind, alpha=float(alpha), dampening=float(lam))
        method = ssd.make(config, model)
        sources = {"train": data["retain"][0]}
        state = method.init(jax.random.key(0), variables, sources, split)
        stages = method.plan(split)
        for stage, name in zip(stages, ("retain", "forget"), strict=True):
            source, feed = data[name]
            state, _ = drive(stage, state, {"train": source}, feed)
        close(state.forget.mean(), params("mlp", case, "_imp_forget"))
        close(state.reference.mean(), params("mlp", case, "_imp_retain"))
        close(method.finish(state).params, params("mlp", case, f"_out{i}"))


@pytest.mark.parametrize("kind", KINDS)
def test_ssd_dampening_for_every_pair(kind, golden):
    """Nothing selected, everything selected (alpha 0), factors clipped at 1 (lambda > alpha), and between."""
    case = golden(f"jit_ssd/ssd_{kind}")
    before = params(kind, case, "")
    forget, full = (params(kind, case, f"_{name}_batch") for name in ("If", "ID"))
    results = params(kind, case, "_out")
    for i, (alpha, lam) in enumerate(zip(case["alpha"], case["lam"], strict=True)):
        ours = ssd.dampen(before, forget, full, alpha, lam)
        close(ours, jax.tree.map(lambda stack, i=i: stack[i], results))
        selected = sum(
            int((f > alpha * d).sum())
            for f, d in zip(jax.tree.leaves(forget), jax.tree.leaves(full), strict=True)
        )
        assert selected == case["selected"][i]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_kind", ["class", "sample"])
def test_fisher(kind, request_kind, golden):
    case = golden(f"jit_ssd/fisher_{kind}")
    model, variables = network(kind, case)
    sources = {"train": Data(jnp.asarray(case["x_retain"]), jnp.asarray(case["y_retain"]))}
    none = np.zeros(0, int)
    classes = (int(case["forget_class"]),) if request_kind == "class" else ()
    split = Split(none, np.arange(len(case["x_retain"])), none, none, classes)
    method = fisher.make(fisher.Config(alpha=float(case["alpha"]), batch_size=5), model)
    state = method.init(jax.random.key(0), variables, sources, split)
    state, _ = drive(method.plan(split)[0], state, sources)
    information = jax.tree.map(lambda total: total / state.seen, state.fisher)
    close(information, params(kind, case, "_fisher"))
    mean, variance = fisher.moments(
        variables.params, information, state.forgotten, float(case["alpha"]), model.layers[-1]
    )
    close(mean, params(kind, case, f"_mu_{request_kind}"))
    close(variance, params(kind, case, f"_var_{request_kind}"))
    noise = params(kind, case, "_noise")
    close(fisher.perturb(mean, variance, noise), params(kind, case, f"_out_{request_kind}"))


def test_amnesiac(golden):
    case = golden("jit_ssd/amnesiac_mlp")
    model, variables = network("mlp", case)
    np.testing.assert_array_equal(relabel(case["y_forget"], case["draw"]), case["y_new"])
    config = random_labels.Config(learning_rate=float(case["lr"]))
    data, feed = batches(case)
    method = random_labels.make(config, model)
    state = descent.init(
        jax.random.key(0),
        variables,
        transformation(config),
        extra=random_labels.Labels(data.y, jnp.arange(int(case["n_classes"]))),
    )
    none = np.zeros(0, int)
    stage = method.plan(Split(none, np.arange(2), none, none))[0]
    after, metrics = drive(stage, state, {"train": data}, feed)
    close(after.variables.params, params("mlp", case, "_out"))
    close(np.array([m["loss"] for m in metrics]), case["loss"])
    two = feed._replace(index=feed.index[:2], mask=feed.mask[:2])
    after, _ = drive(stage, state, {"train": data}, two)
    close(after.variables.params, params("mlp", case, "_step2"))


def trained(config, model, variables, data, feed):
    method = finetune.make(config, model)
    none = np.zeros(0, int)
    split = Split(none, np.arange(2), none, none)
    state = method.init(jax.random.key(0), variables, {"train": data}, split)
    return drive(method.plan(split)[0], state, {"train": data}, feed)


def test_finetune(golden):
    """SGD with momentum and coupled decay, ragged last batch."""
    case = golden("jit_ssd/sgd_recipes_mlp")
    model, variables = network("mlp", case)
    config = finetune.Config(
        learning_rate=float(case["ft_lr"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["weight_decay"]),
    )
    after, _ = trained(config, model, variables, *batches(case, "ft_batch"))
    close(after.variables.params, params("mlp", case, "_ft_out"))


def test_adam_with_batch_norm_in_train_mode(golden):
    case = golden("jit_ssd/adam_train_cnn_bn")
    model, variables = network("cnn", case)
    config = finetune.Config(optimizer="adam", learning_rate=float(case["lr"]), weight_decay=0.0)
    after, metrics = trained(config, model, variables, *batches(case))
    close(np.array([m["loss"] for m in metrics]), case["loss"])
    ours, reference = after.variables.params, params("cnn", case, "_out")
    # The bias before BatchNorm has no gradient but rounding, which adam blows up to full steps.
    ours["conv"].pop("bias"), reference["conv"].pop("bias")
    close(ours, reference, rtol=1e-8)
    close(after.variables.stats, stats("cnn", case, "_out"), rtol=1e-6)
