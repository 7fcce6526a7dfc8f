"""SCRUB: parity with reference numbers in float64, the order of its passes, its rates, and the rewind."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import scrub
from junlearn.methods.scrub import Memory, Pass
from junlearn.parts import losses
from junlearn.parts.descent import start
from junlearn.parts.feeds import cut
from junlearn.parts.optimizers import clipped
from junlearn.parts.selection import Rewind
from junlearn.types import Split, Variables
from tests.golden_nets import batches, drive, network, params

NONE = np.zeros(0, int)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def close(ours, reference, rtol=1e-9):
    def leaf(a, b):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * float(np.abs(b).max()))

    jax.tree.map(leaf, ours, reference)


class Reference:
    """The two passes of a reference case, batch by batch."""

    def __init__(self, case, config, teacher):
        self.model, self.variables = network("mlp", case)
        self.sets = {
            kind: batches(case, name) for kind, name in (("max", "forget"), ("min", "retain"))
        }
        # The numbers of examples only fix the schedule: as many batches as the reference has.
        sizes = [len(self.sets[kind][1].index) for kind in ("max", "min")]
        self.config = dataclasses.replace(config, forget_batch_size=1, batch_size=1)
        self.split = Split(np.arange(sizes[0]), np.arange(sizes[1]), NONE, NONE)
        self.teacher = Variables(teacher, {})

    def stage(self, kind, config=None):
        method = scrub.make(config or self.config, self.model)
        return next(s for s in method.plan(self.split) if s.name == f"{kind} 0")

    def start(self, config=None):
        sources = {"train": self.sets["min"][0]}
        method = scrub.make(config or self.config, self.model)
        state = method.init(jax.random.key(0), self.variables, sources, self.split)
        return state._replace(extra=Memory(self.teacher, ()))

    def batches(self):
        for kind in ("max", "min"):
            data, feed = self.sets[kind]
            for t in range(len(feed.index)):
                part = feed._replace(index=feed.index[t : t + 1], mask=feed.mask[t : t + 1])
                yield kind, {"train": data}, part

    def run(self):
        """`(kind, state before, state after, metrics)` of every batch."""
        stages = {kind: self.stage(kind) for kind in ("max", "min")}
        state = self.start()
        for kind, sources, feed in self.batches():
            after, metrics = drive(stages[kind], state, sources, feed)
            yield kind, sources, feed, state, after, metrics[0]
            state = after


@pytest.mark.parametrize("variant", ["clip", "noclip"])
def test_reference_passes(variant, golden, float64):
    case = golden("jit_ssd/scrub_mlp")
    config = scrub.Config(
        learning_rate=float(case["lr"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["weight_decay"]),
        alpha=float(case[f"alpha_{variant}"]),
        gamma=float(case[f"gamma_{variant}"]),
        temperature=float(case["T"]),
        clip=float(case[f"clip_{variant}"]) or None,
        epochs=1,
        max_epochs=1,
    )
    reference = Reference(case, config, params("mlp", case, "_teacher"))
    names = ("max1", "max_out", "min1", None, "out")
    plain = dataclasses.replace(
        reference.config, clip=None, momentum=0.0, weight_decay=0.0, learning_rate=1.0
    )
    unclipped = {kind: reference.stage(kind, plain) for kind in ("max", "min")}
    for i, (kind, sources, feed, before, after, metrics) in enumerate(reference.run()):
        close(metrics["kd"], case[f"kd_{variant}"][i])
        ce = case[f"ce_{variant}"][i]
        if kind == "min":
            close(metrics["ce"], ce)
            close(metrics["loss"], config.gamma * ce + config.alpha * metrics["kd"])
        else:
            assert metrics["loss"] == -metrics["kd"] and "ce" not in metrics
            rows = feed.index[feed.mask]
            logits = reference.model.apply(before.variables, sources["train"].x[rows])[0]
            close(
                losses.cross_entropy(logits, sources["train"].y[rows], jnp.ones(len(rows), bool)),
                ce,
            )
        if names[i] is not None:
            close(after.variables.params, params("mlp", case, f"_{names[i]}_{variant}"))
        if variant == "clip":
            # A plain step of rate 1 from the same weights moves by the gradient.
            fresh = reference.start(plain)._replace(variables=before.variables)
            moved, _ = drive(unclipped[kind], fresh, sources, feed)
            gradient = jax.tree.map(jnp.subtract, before.variables.params, moved.variables.params)
            close(optax.tree.norm(gradient), case["grad_norm_clip"][i])


def test_corrective_passes(golden, float64):
    """CE and KD are maximised together, with the labels, under one linear schedule."""
    case = golden("scar_corrective/13_scrub")
    case |= {"forget_len": case["forget_sizes"], "retain_len": case["retain_sizes"]}
    config = scrub.Config(
        learning_rate=float(case["peak_lr"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["wd"]),
        alpha=float(case["alpha"]),
        temperature=float(case["kd_T"]),
        ascent="ce+kd",
        max_epochs=1,
        steps=int(case["N"]),
        schedule="warm_linear",
    )
    reference = Reference(case, config, params("mlp", case, ""))
    accuracies = []
    for i, (_, _, _, _, after, metrics) in enumerate(reference.run()):
        close(metrics["loss"], case["loss"][i])
        np.testing.assert_allclose(metrics["kd"], case["kd"][i], rtol=1e-9, atol=1e-12)
        if i == 1:
            close(after.variables.params, params("mlp", case, "_after_forget"))
        if i in (1, 4):
            answers = reference.model.apply(after.variables, case["x_test"])[0].argmax(-1)
            accuracies.append((answers == case["y_test"]).mean())
    close(after.variables.params, params("mlp", case, "_out"))
    close(np.array(accuracies), case["val_top1"])


def test_kd_by_hand(float64):
    """The vector of the specification: T = 4 and the factor T^2."""
    student = jnp.array([[1.0, 2, 3], [0, 0, 0]])
    teacher = jnp.array([[3.0, 2, 1], [1, 0, -1]])
    target, output = (jax.nn.log_softmax(z / 4) for z in (teacher, student))
    value = 16 * losses.divergence(target, output, jnp.ones(2, bool))
    assert value == pytest.approx(0.823916, rel=1e-5)


def test_order_of_the_passes():
    alternating = scrub.Config(epochs=3, max_epochs=2)
    assert scrub.passes(alternating, 2, 5) == [
        Pass(0, "max", 2),
        Pass(0, "min", 5),
        Pass(1, "max", 2),
        Pass(1, "min", 5),
        Pass(2, "min", 5),
    ]
    for steps in range(1, 25):
        schedule = scrub.passes(dataclasses.replace(alternating, steps=steps), 2, 5)
        assert sum(part.steps for part in schedule) == steps
        assert all(part.steps == {"max": 2, "min": 5}[part.kind] for part in schedule[:-1])


def test_rate_falls_by_the_epoch(mlp):
    """SGD without momentum on a constant gradient moves by the rate."""
    config = scrub.Config(
        learning_rate=1.0,
        momentum=0.0,
        weight_decay=0.0,
        gamma=0.0,
        alpha=0.0,
        epochs=4,
        max_epochs=1,
        decay_epochs=(1, 3, 9),
        decay=0.5,
        batch_size=16,
        forget_batch_size=8,
    )
    schedule = scrub.passes(config, 2, 3)
    assert [part.steps for part in schedule] == [2, 3, 3, 3, 3]
    rates = [float(r) for r in map(scrub.rate(config, schedule), range(14))]
    assert rates == [1.0] * 5 + [0.5] * 6 + [0.25] * 3


def test_clipped_norm():
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    tx = clipped(optax.identity(), 1.0)
    scaled, _ = tx.update(gradient, tx.init(gradient))
    close(scaled, jax.tree.map(lambda g: g / (5 + 1e-6), gradient), rtol=1e-6)
    small = jax.tree.map(lambda g: g / 10, gradient)
    close(tx.update(small, tx.init(small))[0], small, rtol=1e-6)


QUICK = scrub.Config(
    epochs=3, max_epochs=2, batch_size=16, forget_batch_size=8, learning_rate=0.05, rewind=True
)


def unlearned(problem, method):
    return run(
        method,
        problem.model,
        problem.variables,
        problem.sources,
        problem.split,
        key=jax.random.key(0),
    )


def test_rewind(mlp):
    """Snapshots are the weights after each epoch, and errors theirs; stages that share a step share its program."""
    traces = []
    states = []

    def watched(stages):
        method = scrub.make(QUICK, mlp.model)
        wrappers = {}

        def counted(step):
            def wrapper(state, batch):
                traces.append(step)
                return step(state, batch)

            return wrappers.setdefault(step, wrapper)

        def finish(state):
            states.append(state)
            return method.finish(state)

        def plan(split):
            plan = method.plan(split)[:stages]
            return [stage._replace(step=counted(stage.step)) for stage in plan]

        return method._replace(plan=plan, finish=finish)

    done = unlearned(mlp, watched(None))
    assert len(traces) == len(set(traces)) == 4  # max, min, and two that measure
    unlearned(mlp, watched(5))  # max, min, measure, max, min
    rewind: Rewind = states[0].extra.rewind
    second = jax.tree.map(lambda stack: stack[1], rewind.snapshots)
    jax.tree.map(np.testing.assert_array_equal, second, states[1].variables)
    last = jax.tree.map(lambda stack: stack[2], rewind.snapshots)
    jax.tree.map(np.testing.assert_array_equal, last, states[0].variables)

    def wrong(variables, source, rows):
        data = mlp.sources[source]
        answers = mlp.model.apply(variables, jnp.asarray(data.x[rows]))[0].argmax(-1)
        return int((np.asarray(answers) != data.y[rows]).sum())

    split = mlp.split
    for e in range(3):
        snapshot = jax.tree.map(lambda stack, e=e: stack[e], rewind.snapshots)
        assert wrong(snapshot, "train", split.forget) == rewind.errors[e]
    unseen = [wrong(last, "test", split.forget_test), len(split.forget_test)]
    assert rewind.unseen.tolist() == unseen
    assert int(rewind.measured) == 3 * len(split.forget)
    distance = np.abs(np.array(rewind.errors) / len(split.forget) - unseen[0] / unseen[1])
    best = 2 - np.argmin(distance[::-1])
    chosen = jax.tree.map(lambda stack: stack[best], rewind.snapshots)
    jax.tree.map(np.testing.assert_array_equal, done.variables, chosen)


@pytest.mark.parametrize(
    ("errors", "unseen", "chosen"),
    [([1, 6, 9], 4, 1), ([10, 9, 9], 10, 0), ([2, 4, 3], 3, 2), ([8, 2, 6], 4, 2)],
)
def test_the_nearest_error_is_chosen(errors, unseen, chosen, mlp):
    """Errors of 10 examples against `unseen` of 10; of two as near the later."""
    weights = Variables({"w": jnp.arange(3.0)}, {})
    rewind = Rewind(weights, jnp.array(errors), jnp.array(30), jnp.array([unseen, 10]))
    state = start(
        jax.random.key(0),
        Variables({"w": jnp.zeros(())}, {}),
        optax.identity(),
        Memory(weights, rewind),
    )
    assert scrub.make(QUICK, mlp.model).finish(state).params["w"] == chosen


def test_unseen_examples(mlp):
    """Those of the request; all of the test set where it has none of its own; none of manipulated labels."""
    method = scrub.make(QUICK, mlp.model)
    rng = np.random.default_rng(0)
    feed = method.plan(mlp.split)[-1].feed(rng, None)
    assert feed.source == "test"
    np.testing.assert_array_equal(feed.index[feed.mask], mlp.split.forget_test)
    everything = np.arange(len(mlp.sources["test"].y))
    random = mlp.split._replace(forget_test=NONE, retain_test=everything, classes=())
    feed = method.plan(random)[-1].feed(rng, None)
    np.testing.assert_array_equal(feed.index[feed.mask], everything)
    train = mlp.sources["train"]
    noisy = {**mlp.sources, "train": train._replace(clean=train.y)}
    with pytest.raises(ConfigError, match="rewind"):
        method.init(jax.random.key(0), mlp.variables, noisy, mlp.split)


def test_cut_feeds_keep_the_first_batches(mlp):
    stage = scrub.make(dataclasses.replace(QUICK, steps=4, rewind=False), mlp.model)
    lengths = [len(s.feed(np.random.default_rng(0), None).index) for s in stage.plan(mlp.split)]
    assert lengths == [2, 2]
    whole = scrub.make(QUICK, mlp.model).plan(mlp.split)[1].feed(np.random.default_rng(0), None)
    part = stage.plan(mlp.split)[1].feed(np.random.default_rng(0), None)
    np.testing.assert_array_equal(part.index, cut(whole, 2).index)


def test_rewind_needs_unseen_examples(mlp):
    train = {"train": mlp.sources["train"]}
    split = mlp.split._replace(forget_test=np.zeros(0, int), retain_test=np.zeros(0, int))
    with pytest.raises(ConfigError, match="give a test set, or set rewind to False"):
        scrub.make(QUICK, mlp.model).init(jax.random.key(0), mlp.variables, train, split)
