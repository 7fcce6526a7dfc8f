"""What every registered method must do. A new method is in all of these by being in METHODS."""

import ast
import dataclasses
import functools
import inspect
import itertools
import re
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine import checkpoint
from junlearn.engine.run import run
from junlearn.methods import METHODS, build
from junlearn.parts import feeds
from junlearn.types import Data, Method, PyTree, Variables
from tests.conftest import make_problem

# One worker takes all tests of a method, and so makes its plain runs only once.
NAMES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in sorted(METHODS)]


@functools.cache
def problem_of(kind):
    """A tiny problem, and weights for it that its training may have begun from."""
    if kind == "mlp":
        problem = make_problem("mlp", size=4)
    else:
        problem = make_problem("small_cnn", size=4, channels=(4,), embedding=8)
    return problem, jax.jit(problem.model.init)(
        jax.random.key(4), problem.model.example(problem.sources)
    )


SETTINGS = {
    # Quick settings for tiny problems; every method runs more than one step of a ragged epoch.
    "boundary_expand": {"epochs": 2, "batch_size": 8},
    "boundary_shrink": {"epochs": 2, "batch_size": 8, "steps": 2},
    "camu": {"batch_size": 8},
    "cf_k": {"steps": 5, "batch_size": 16},
    "duck": {
        "epochs": 2,
        "batch_size": 8,
        "retain_batches": 2,
        "target_accuracy": 0.0,
        "second_stage": True,
    },
    "emmn": {"maximise_steps": 2, "minimise_steps": 3, "copies": 2, "batch_size": 6},
    "bad_teacher": {"epochs": 2, "batch_size": 8},
    "eu_k": {"steps": 5, "batch_size": 16},
    "finetune": {"epochs": 2, "batch_size": 16},
    "fisher": {"batch_size": 8},
    "gkt": {
        "pseudo_batches": 3,
        "generator_steps": 1,
        "student_steps": 2,
        "batch_size": 8,
        "threshold": 0.3,
        "latent": 4,
        "channels": (4, 4, 4),
    },
    "jit": {"perturbations": 3, "epochs": 2, "batch_size": 5},
    "laf": {"epochs": 2, "vae_epochs": 1, "batch_size": 8},
    "naive": {},
    "neggrad": {"epochs": 2, "batch_size": 8},
    "neggrad_plus": {"epochs": 2, "batch_size": 8},
    "ntk": {"batch_size": 16},
    "random_labels": {"epochs": 2, "batch_size": 16},
    "retrain": {"epochs": 2, "batch_size": 16},
    "sisa": {"shards": 2, "slices": 2, "epochs": 2, "batch_size": 5},
    "scar": {
        "epochs": 2,
        "batch_size": 7,
        "surrogate_batch_size": 8,
        "surrogate_steps": 2,
        "discard_last": True,
        "target": 0.0,
    },
    "scar_self": {
        "epochs": 2,
        "batch_size": 16,
        "surrogate_batch_size": 8,
        "stop": "epochs",
        "distil_without": True,
        "temperature": 2.0,
    },
    "scrub": {"epochs": 2, "max_epochs": 1, "batch_size": 16, "forget_batch_size": 8},
    "ssd": {"alpha": 1.0, "batch_size": 16},
    "unrolling": {"batch_size": 2},
    "unsir": {
        "noise_count": 5,
        "noise_steps": 3,
        "copies": 3,
        "per_class": 9,
        "impair_batch_size": 16,
        "repair_batch_size": 8,
    },
}

NO_STAGES = {"naive"}
"""Methods that return what they are given: there is no step to look at, or to be cut off in."""

NEW_MODEL = {"sisa"}
"""Methods that return another Model: its variables are those of its own `init`, and its outputs judge it."""


def make(name, model) -> Method:
    return build(name, METHODS[name].Config(**SETTINGS[name]), model)


def result(name, kind, *, method=None, sources=None, seed=5, **options):
    """A run of the method; no random key may be used twice in it."""
    problem, initial = problem_of(kind)
    with jax.debug_key_reuse(True):
        return run(
            make(name, problem.model) if method is None else method,
            problem.model,
            problem.variables,
            problem.sources if sources is None else sources,
            problem.split,
            key=jax.random.key(seed),
            initial=initial,
            **options,
        )


@functools.cache
def baseline(name):
    """The plain run on the MLP that many tests compare with, done once."""
    return result(name, "mlp")


class Trace(NamedTuple):
    """Shapes and dtypes that a step was traced with."""

    state: PyTree
    after: PyTree
    metrics: PyTree


@functools.cache
def watched(name):
    """A plain run on the network with convolutions, done once, and the traces of each of its steps."""
    traces: dict = {}
    steps: dict = {}

    def watch(stage):
        @functools.wraps(stage.step)
        def step(state, batch):
            after, metrics = stage.step(state, batch)
            shapes = jax.tree.map(jax.typeof, (state, after, metrics))
            traces[stage.step].append(Trace(*shapes))
            return after, metrics

        # Stages that share a step still share it: they are compiled together.
        if stage.step not in traces:
            traces[stage.step] = []
            steps[stage.step] = step
        return stage._replace(step=steps[stage.step])

    method = with_stages(make(name, problem_of("convnet")[0].model), watch)
    return result(name, "convnet", method=method), list(traces.values())


def with_stages(method: Method, change) -> Method:
    """The method with `change` applied to each of its stages."""
    return method._replace(plan=lambda split: [change(stage) for stage in method.plan(split)])


def test_every_method_has_settings():
    assert set(SETTINGS) == set(METHODS)


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name, mlp):
    module = METHODS[name]
    assert {"Config", "State", "make", "NEEDS"} <= set(module.__all__)
    assert module.Config.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(module.Config))
    assert list(inspect.signature(module.make).parameters) == ["config", "model"]
    assert issubclass(module.State, tuple)
    assert isinstance(module.NEEDS, frozenset)
    method = make(name, mlp.model)
    assert list(inspect.signature(method.init).parameters) == [
        "key",
        "variables",
        "sources",
        "split",
    ]
    assert list(inspect.signature(method.plan).parameters) == ["split"]
    assert list(inspect.signature(method.finish).parameters) == ["state"]
    for stage in method.plan(mlp.split):
        assert list(inspect.signature(stage.step).parameters) == ["state", "batch"]
        assert list(inspect.signature(stage.feed).parameters) == ["rng", "state"]


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_the_docstring(name):
    """The head of a method's file has a table of its defaults, one `field  value` a line."""
    module = METHODS[name]
    block = module.__doc__.split("Defaults", 1)[1]
    table = dict(re.findall(r"^ {4}(\w+) {2,}(.+)$", block, re.MULTILINE))
    stated = {field: ast.literal_eval(value) for field, value in table.items()}
    assert stated == dataclasses.asdict(module.Config())


@pytest.mark.parametrize("name", NAMES)
def test_state_is_a_fixed_point_of_every_stage(name):
    _, traces = watched(name)
    for state, after, metrics in itertools.chain(*traces):
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
        assert all(value.shape == () for value in metrics.values())


@pytest.mark.parametrize("name", NAMES)
def test_one_trace_a_step_and_finite(name):
    convnet, _ = problem_of("convnet")
    done, traces = watched(name)
    chex.assert_tree_all_finite(done.variables)
    assert {len(of_step) for of_step in traces} == (set() if name in NO_STAGES else {1})
    if name in NEW_MODEL:
        x = jnp.asarray(convnet.sources["test"].x)
        logits, features, stats = done.model.apply(done.variables, x)
        chex.assert_shape(logits, (len(x), 4))
        assert len(features["embedding"]) == len(x)
        chex.assert_tree_all_finite(logits)
        chex.assert_trees_all_equal(stats, done.variables.stats)
        fresh = jax.eval_shape(done.model.init, jax.random.key(0), x[:1])
        chex.assert_trees_all_equal_shapes_and_dtypes(done.variables, fresh)
    else:
        assert done.model is convnet.model
        chex.assert_trees_all_equal_shapes_and_dtypes(done.variables, convnet.variables)


@pytest.mark.parametrize("name", NAMES)
def test_equal_keys_give_equal_bits(name):
    problem, _ = problem_of("mlp")
    before = jax.tree.map(np.array, (problem.variables, problem.sources))
    first, second = baseline(name), result(name, "mlp")
    chex.assert_trees_all_equal(first.variables, second.variables)
    assert first.history == second.history
    chex.assert_trees_all_equal(before, (problem.variables, problem.sources))


@pytest.mark.parametrize("name", NAMES)
def test_scan_equals_python_loop(name):
    python, scan = baseline(name), result(name, "mlp", loop="scan")
    chex.assert_trees_all_close(python.variables, scan.variables, rtol=1e-5, atol=1e-6)
    for a, b in zip(python.history, scan.history, strict=True):
        assert a.keys() == b.keys()
        numbers = a.keys() - {"stage"}
        assert [a[n] for n in numbers] == pytest.approx([b[n] for n in numbers], rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_masked_rows_change_nothing(name):
    """With BatchNorm, whose moments they would change too."""
    plain, _ = watched(name)

    def widened(stage):
        def feed(rng, state):
            def widen(f):
                return feeds.pad_rows(f, f.index.shape[1] + 5)

            return jax.tree.map(widen, stage.feed(rng, state), is_leaf=feeds.is_feed)

        return stage._replace(feed=feed)

    method = with_stages(make(name, problem_of("convnet")[0].model), widened)
    padded = result(name, "convnet", method=method)
    chex.assert_trees_all_close(plain.variables, padded.variables, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_reads_only_what_it_needs(name):
    """Everything outside NEEDS is NaN or an impossible label, and the result is the same, bit for bit."""
    needs = METHODS[name].NEEDS
    mlp, _ = problem_of("mlp")
    assert needs <= {
        "forget.x",
        "forget.y",
        "retain.x",
        "retain.y",
        "surrogate.x",
        "test.x",
        "test.y",
    }
    train, test = (
        Data(d.x.copy(), d.y.copy()) for d in (mlp.sources["train"], mlp.sources["test"])
    )
    for part, rows in (("forget", mlp.split.forget), ("retain", mlp.split.retain)):
        if f"{part}.x" not in needs:
            train.x[rows] = np.nan
        if f"{part}.y" not in needs:
            train.y[rows] = -(10**6)
    if "test.x" not in needs:
        test.x[:] = np.nan
    if "test.y" not in needs:
        test.y[:] = -(10**6)
    surrogate = mlp.sources["surrogate"]
    if "surrogate.x" not in needs:
        surrogate = surrogate._replace(x=np.full_like(surrogate.x, np.nan))
    sources = {"train": train, "test": test, "surrogate": surrogate}
    hidden = result(name, "mlp", sources=sources)
    chex.assert_trees_all_equal(baseline(name).variables, hidden.variables)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("name", sorted(NO_STAGES))
def test_without_stages_nothing_changes(name, tmp_path):
    problem, _ = problem_of("mlp")
    assert make(name, problem.model).plan(problem.split) == []
    store = checkpoint.Store(tmp_path / "run", owner=name)
    for _ in range(2):
        done = result(name, "mlp", store=store, save_seconds=0)
        chex.assert_trees_all_equal(done.variables, problem.variables)
        assert done.history == [] and done.seconds["run"] == 0 < done.seconds["total"]


@pytest.mark.parametrize("name", [name for name in NAMES if not NO_STAGES & set(name.values)])
def test_goes_on_from_a_checkpoint_in_mid_plan(name, tmp_path):
    store = checkpoint.Store(tmp_path / "run", owner=name)
    reports = 0

    def progress(stage, done, total, metrics):
        nonlocal reports
        reports += 1
        if reports == 3:
            raise Killed

    with pytest.raises(Killed):
        result(name, "mlp", store=store, save_seconds=0, progress=progress)
    assert list(store.directory.glob("0*"))
    resumed = result(name, "mlp", store=store, save_seconds=0)
    whole = baseline(name)
    chex.assert_trees_all_equal(resumed.variables, whole.variables)
    assert resumed.history == whole.history
    read_back = result(name, "mlp", store=store, progress=progress)
    chex.assert_trees_all_equal(read_back.variables, whole.variables)


@pytest.mark.parametrize("name", NAMES)
def test_returns_plain_variables(name):
    done = baseline(name)
    assert isinstance(done.variables, Variables)
    assert done.seconds["total"] >= done.seconds["run"]
    assert done.seconds["run"] > 0 or name in NO_STAGES
