"""The bad teacher: parity with reference numbers in float64, and its mixed set."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.run import run
from junlearn.methods import bad_teacher
from junlearn.methods.bad_teacher import Teachers
from junlearn.parts import descent
from junlearn.parts.optimizers import transformation, warm_linear
from junlearn.types import Split, Variables
from tests.golden_nets import batches, close, drive, network, params

NONE = np.zeros(0, int)


def distilled(config, case, data, feed, forget, good, tx):
    """The weights after each step and the losses."""
    model, variables = network("mlp", case)
    sources, split = (
        {"train": data},
        Split(np.flatnonzero(forget), np.flatnonzero(~forget), NONE, NONE),
    )
    stage = bad_teacher.make(config, model).plan(split)[0]
    teachers = Teachers(
        Variables(good, {}),
        Variables(params("mlp", case, "_bad"), {}),
        jnp.asarray(forget),
        jnp.asarray(split.retain, jnp.int32),
    )
    state = descent.init(jax.random.key(0), variables, tx, extra=teachers)
    weights, values = [], []
    for t in range(len(feed.index)):
        one = feed._replace(index=feed.index[t : t + 1], mask=feed.mask[t : t + 1])
        state, metrics = drive(stage, state, sources, one)
        weights.append(state.variables.params)
        values.append(metrics[0]["loss"])
    return weights, np.array(values)


@pytest.mark.parity
def test_two_adam_steps(golden, float64):
    """In the reference two; in another case as many as it has losses."""
    case = golden("jit_ssd/bad_teacher_mlp")
    config = bad_teacher.Config(
        learning_rate=float(case["lr"]),
        temperature=float(case["temperature"]),
        reduction="element",
        retain_fraction=1.0,
        batch_size=int(case["batch_size"]),
    )
    rows = len(case["x"])
    ends = np.append(np.arange(config.batch_size, rows, config.batch_size), rows)
    case |= {
        "batch_x": case["x"],
        "batch_y": np.zeros(rows, int),
        "batch_len": np.diff(ends, prepend=0),
    }
    good = params("mlp", case, "_good")
    weights, values = distilled(
        config, case, *batches(case), case["flag"] == 1, good, transformation(config)
    )
    for step, after in enumerate(weights[:-1], start=1):
        close(after, params("mlp", case, f"_step{step}"))
    close(weights[-1], params("mlp", case, "_out"))
    close(values, case["loss"])
    close(values.mean(), case["mean_loss"])


@pytest.mark.parity
def test_corrective_steps(golden, float64):
    """SGD with momentum, decay and the schedule of Corrective Unlearning; a ragged batch."""
    case = golden("scar_corrective/14_badt")
    config = bad_teacher.Config(
        optimizer="sgd",
        learning_rate=float(case["peak_lr"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["wd"]),
        temperature=float(case["temperature"]),
        steps=int(case["N"]),
        schedule="warm_linear",
        retain_fraction=1.0,
        reduction="element",
        batch_size=int(case["batch_sizes"].max()),
    )
    rate = warm_linear(config.learning_rate, config.steps)
    close(np.array([rate(t) for t in range(len(case["lr"]))]), case["lr"])
    case["batch_len"] = case["batch_sizes"]
    data, feed = batches(case)
    tx = transformation(config, rate)
    good = params("mlp", case, "")
    weights, values = distilled(config, case, data, feed, case["batch_z"] == 1, good, tx)
    close(values, case["loss"])
    close(weights[-1], params("mlp", case, "_out"))


@pytest.mark.parity
def test_loss_on_free_logits(golden, float64):
    case = golden("jit_ssd/bad_teacher_mlp")
    logits = [jnp.asarray(case[f"z_{name}"]) for name in ("student", "good", "bad")]
    rows, classes = logits[0].shape
    forget, mask = jnp.asarray(case["flag"][:rows] == 1), jnp.ones(rows, bool)
    for temperature, given in zip(case["loss_T"], case["loss_given"], strict=True):
        element = bad_teacher.distillation(*logits, forget, mask, temperature, "element")
        batch = bad_teacher.distillation(*logits, forget, mask, temperature, "batch")
        close(element, given)
        close(batch, classes * given)


def test_loss_by_hand():
    """The vector of the specification, with a masked row beside it."""
    student = jnp.array([[1.0, 2, 3], [0, 0, 0], [7, -7, 0]])
    good = jnp.array([[3.0, 2, 1], [1, 0, -1], [9, 0, 0]])
    forget, mask = jnp.array([True, False, True]), jnp.array([True, True, False])
    arguments = (student, good, jnp.zeros((3, 3)), forget, mask, 1.0)
    assert bad_teacher.distillation(*arguments, "element") == pytest.approx(0.0958684, rel=1e-5)
    assert bad_teacher.distillation(*arguments, "batch") == pytest.approx(0.2876052, rel=1e-5)


def test_the_mixed_set_and_the_number_of_steps(mlp):
    """All of D_f and floor(0.3 |D_r|) of D_r, the same in every epoch; `steps` cuts the last one."""
    config = bad_teacher.Config(batch_size=8, steps=7)
    method = bad_teacher.make(config, mlp.model)
    state = method.init(jax.random.key(0), mlp.variables, mlp.sources, mlp.split)
    stages = method.plan(mlp.split)
    rng = np.random.default_rng(0)
    first, second = (stages[0].feed(rng, state) for _ in range(2))
    rows = [np.sort(f.index[f.mask]) for f in (first, second)]
    np.testing.assert_array_equal(*rows)
    assert set(mlp.split.forget) <= set(rows[0])
    expected = int(0.3 * len(mlp.split.retain))
    assert len(rows[0]) == len(set(rows[0])) == len(mlp.split.forget) + expected
    lengths = [len(stage.feed(rng, state).index) * stage.epochs for stage in stages]
    assert sum(lengths) == 7 and stages[0].step is stages[-1].step
    np.testing.assert_array_equal(np.flatnonzero(state.extra.forget), mlp.split.forget)


def test_the_bad_teacher_is_another_draw(mlp):
    method = bad_teacher.make(bad_teacher.Config(), mlp.model)
    first, second = (
        method.init(jax.random.key(seed), mlp.variables, mlp.sources, mlp.split).extra.bad
        for seed in (0, 1)
    )
    kernels = [jax.tree.leaves(v.params)[1] for v in (first, second, mlp.variables)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not np.allclose(kernels[i], kernels[j])


def test_without_a_forget_set_nothing_is_to_learn(mlp):
    """Student and good teacher agree: the loss is 0, and so is every gradient."""
    split = mlp.split._replace(
        forget=NONE, retain=np.arange(len(mlp.sources["train"].y)), classes=()
    )
    config = bad_teacher.Config(
        optimizer="sgd", learning_rate=1.0, retain_fraction=1.0, batch_size=46
    )
    done = run(
        bad_teacher.make(config, mlp.model),
        mlp.model,
        mlp.variables,
        mlp.sources,
        split,
        key=jax.random.key(0),
        views=PLAIN_VIEWS,
    )
    assert done.history[0]["loss"] == pytest.approx(0, abs=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), done.variables, mlp.variables
    )


def test_schedule_of_corrective_unlearning():
    """The vectors of the specification: 40 of 4,000 steps warm up, and the rate never reaches 0."""
    rate = warm_linear(1.0, 4000)
    for step, value in ((0, 1 / 41), (39, 40 / 41), (40, 1.0), (4000, 0.208)):
        assert float(rate(step)) == pytest.approx(value, rel=1e-6)
    assert float(warm_linear(0.5, 99)(0)) == pytest.approx(0.5)
