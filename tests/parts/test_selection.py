"""The weights that a run returns: the best after any epoch, on the test set or on a validation set."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine import checkpoint
from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import bad_teacher, finetune, scrub
from junlearn.parts.selection import keeping
from junlearn.types import Data, Split
from tests.golden_nets import batches, drive, network, params

NONE = np.zeros(0, int)


@pytest.mark.parity
def test_reference_selection_after_every_pass(golden):
    """The max pass and the min pass end equally well: the first one wins."""
    case = golden("scar_corrective/13_scrub")
    case |= {"forget_len": case["forget_sizes"], "retain_len": case["retain_sizes"]}
    with jax.enable_x64(True):
        model, variables = network("mlp", case)
        config = scrub.Config(
            learning_rate=float(case["peak_lr"]),
            momentum=float(case["momentum"]),
            weight_decay=float(case["wd"]),
            alpha=float(case["alpha"]),
            temperature=float(case["kd_T"]),
            ascent="ce+kd",
            msteps=int(case["msteps"]),
            steps=int(case["N"]),
            schedule="warm_linear",
            forget_batch_size=1,
            batch_size=1,
            keep="best_test",
        )
        method = scrub.make(config, model)
        given = {kind: batches(case, name) for kind, name in (("max", "forget"), ("min", "retain"))}
        sources = {"test": Data(jnp.asarray(case["x_test"]), jnp.asarray(case["y_test"]))}
        # As many examples as the reference has batches: they only fix the schedule.
        rows = (np.arange(len(case[f"{name}_sizes"])) for name in ("forget", "retain"))
        split = Split(*rows, NONE, NONE)
        state = method.init(
            jax.random.key(0), variables, {"train": given["min"][0], **sources}, split
        )
        stages = method.plan(split)
        assert [stage.name for stage in stages] == [
            *("max 0", "measure max 0", "min 0", "measure min 0")
        ]
        right = []
        for stage in stages:
            data, feed = given.get(stage.name[:3], (None, None))
            state, metrics = drive(stage, state, {"train": data, **sources}, feed)
            right.append(sum(int(m["correct"]) for m in metrics if "correct" in m))
        np.testing.assert_allclose(
            np.array(right[1::2]) / len(case["y_test"]), case["val_top1"], rtol=1e-6
        )
        chosen, reference = method.finish(state).params, params("mlp", case, "_best")
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), chosen, reference)
        last, reference = state.inner.variables.params, params("mlp", case, "_out")
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8), last, reference)


def accuracy(model, variables, data):
    answers = np.asarray(model.apply(variables, jnp.asarray(data.x))[0].argmax(-1))
    return (answers == data.y).mean()


FIELDS = {"learning_rate": 0.3, "batch_size": 8}


def test_the_first_of_the_best_is_returned(mlp):
    """Five epochs, the last one cut; ragged batches of 14 test images."""
    config = finetune.Config(steps=23, keep="best_test", **FIELDS)
    method = finetune.make(config, mlp.model)
    sources = jax.tree.map(jnp.asarray, mlp.sources)
    state = method.init(jax.random.key(0), mlp.variables, sources, mlp.split)
    candidates = []
    for stage in method.plan(mlp.split):
        state, metrics = drive(stage, state, sources)
        if not stage.name.startswith("measure"):
            candidates.append(state.inner.variables)
            assert len(metrics) == (3 if "cut" in stage.name else 5)
    found = [accuracy(mlp.model, each, mlp.sources["test"]) for each in candidates]
    best = int(np.argmax(found))
    # These say something only where neither the first nor the last is the best, and the best is not alone.
    assert len(found) == 5 and best < 4 and found[best] > found[-1]
    chex.assert_trees_all_equal(method.finish(state), candidates[best])


class Killed(Exception):
    """Stands for the end of the process."""


def go(module, problem, sources, **options):
    config = module.Config(epochs=2, keep="best_validation", **FIELDS)
    method = module.make(config, problem.model)
    done = (problem.model, problem.variables, sources, problem.split)
    return run(method, *done, key=jax.random.key(0), **options)


def test_goes_on_in_the_middle_of_measuring(mlp, tmp_path):
    """The validation set is read, and the test set is not."""
    sources = {**mlp.sources, "validation": mlp.sources["test"]}
    sources["test"] = mlp.sources["test"]._replace(x=np.full_like(mlp.sources["test"].x, np.nan))
    whole = go(finetune, mlp, sources)
    assert [entry["stage"] for entry in whole.history] == [
        *("finetune 0", "measure finetune 0", "finetune 1", "measure finetune 1")
    ]
    store = checkpoint.Store(tmp_path / "run", owner="finetune")

    def progress(stage, done, total, metrics):
        if stage == "measure finetune 1":
            raise Killed

    with pytest.raises(Killed):
        go(finetune, mlp, sources, store=store, save_seconds=0, progress=progress)
    resumed = go(finetune, mlp, sources, store=store, save_seconds=0)
    chex.assert_trees_all_equal(resumed.variables, whole.variables)
    assert resumed.history == whole.history
    accuracies = [
        entry["correct"] * entry["steps"] / 14 for entry in whole.history if "correct" in entry
    ]
    found = accuracy(mlp.model, whole.variables, mlp.sources["test"])
    assert found == pytest.approx(max(accuracies))


def test_sources_that_are_missing(mlp):
    for module in (finetune, bad_teacher):
        with pytest.raises(ConfigError, match=r"set validation = \.\.\. in the experiment"):
            go(module, mlp, mlp.sources)
    with pytest.raises(ConfigError, match='keep="last"'):
        scrub.make(scrub.Config(rewind=True, keep="best_test"), mlp.model)


def hooked(method):
    """`method` with everything that a method may ask for, each of which shows in the result."""
    return method._replace(
        with_initial=lambda state, initial: state._replace(extra=initial.params),
        with_pixel=lambda state, black, white: state._replace(key=jax.random.fold_in(state.key, 7)),
        report=lambda state: {"sum": sum(leaf.sum() for leaf in jax.tree.leaves(state.variables))},
        certificate=lambda split: {"epsilon": 1.0},
    )


@pytest.mark.parametrize("keep", ["last", "best_test", "best_validation"])
@pytest.mark.parametrize("missing", [None, "with_initial", "with_pixel", "report"])
def test_what_a_method_asks_for_is_kept(keep, missing, mlp):
    plain = finetune.make(finetune.Config(epochs=1, **FIELDS), mlp.model)
    method = hooked(plain)
    if missing is not None:
        method = method._replace(**{missing: None})
    kept = keeping(method, mlp.model, keep, 8)
    sources = {**mlp.sources, "validation": mlp.sources["test"]}
    state = kept.init(jax.random.key(0), mlp.variables, sources, mlp.split)
    began = state if keep == "last" else state.inner
    black, white = jnp.zeros((1, 1, 1, 1)), jnp.ones((1, 1, 1, 1))
    for hook, given in (("with_initial", (mlp.variables,)), ("with_pixel", (black, white))):
        assert (getattr(kept, hook) is None) == (missing == hook)
        if missing != hook:
            state = getattr(kept, hook)(state, *given)
    inner = state if keep == "last" else state.inner
    assert (inner.extra == ()) == (missing == "with_initial")
    assert (inner.key == began.key).all() == (missing == "with_pixel")
    assert (kept.report is None) == (missing == "report")
    # The theorem is about the last weights.
    assert (kept.certificate is None) == (keep != "last")
    if missing != "report":
        assert np.isfinite(kept.report(state)["sum"])


def test_a_report_is_about_the_weights_that_are_returned(mlp):
    method = hooked(finetune.make(finetune.Config(steps=23, **FIELDS), mlp.model))
    kept = keeping(method, mlp.model, "best_test", 8)
    done = (mlp.model, mlp.variables, mlp.sources, mlp.split)
    result = run(kept, *done, key=jax.random.key(0), initial=mlp.variables)
    total = sum(float(leaf.sum()) for leaf in jax.tree.leaves(result.variables))
    assert result.reported["sum"] == pytest.approx(total, rel=1e-4)


def test_stages_that_may_end_early_are_refused(mlp):
    method = finetune.make(finetune.Config(epochs=1, **FIELDS), mlp.model)
    stages = [stage._replace(until=lambda *_: True) for stage in method.plan(mlp.split)]
    kept = keeping(method._replace(plan=lambda split: stages), mlp.model, "best_test", 8)
    with pytest.raises(ConfigError, match="stage 'finetune' may end early"):
        kept.plan(mlp.split)


def test_what_a_stage_begins_with_is_done_once(mlp):
    method = finetune.make(finetune.Config(epochs=2, **FIELDS), mlp.model)
    began = []

    def begin(state, sources):
        began.append(sorted(sources))
        return state

    stages = [stage._replace(begin=begin) for stage in method.plan(mlp.split)]
    kept = keeping(method._replace(plan=lambda split: stages), mlp.model, "best_test", 8)
    run(kept, mlp.model, mlp.variables, mlp.sources, mlp.split, key=jax.random.key(0))
    assert began == [sorted(mlp.sources)]
