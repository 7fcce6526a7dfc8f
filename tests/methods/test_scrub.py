"""SCRUB: parity with reference numbers in float64, the order of its passes, its rates, its clip."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.methods import scrub
from junlearn.methods.scrub import Memory, Pass
from junlearn.parts import losses
from junlearn.parts.feeds import cut
from junlearn.parts.optimizers import clipped
from junlearn.types import Split, Variables
from tests.golden_nets import batches, close, drive, network, params

NONE = np.zeros(0, int)


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


@pytest.mark.parity
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
    ascent, descent = (len(case[f"{name}_len"]) for name in ("forget", "retain"))
    stored = {"max1": 0, "max_out": ascent - 1, "min1": ascent, "out": ascent + descent - 1}
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
        for name in (name for name, step in stored.items() if step == i):
            close(after.variables.params, params("mlp", case, f"_{name}_{variant}"))
        if f"grad_norm_{variant}" in case:
            # A plain step of rate 1 from the same weights moves by the gradient.
            fresh = reference.start(plain)._replace(variables=before.variables)
            moved, _ = drive(unclipped[kind], fresh, sources, feed)
            gradient = jax.tree.map(jnp.subtract, before.variables.params, moved.variables.params)
            close(optax.tree.norm(gradient), case[f"grad_norm_{variant}"][i])


@pytest.mark.parity
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
    ascent, descent = (len(case[f"{name}_sizes"]) for name in ("forget", "retain"))
    ends = (ascent - 1, ascent + descent - 1)
    accuracies = []
    for i, (_, _, _, _, after, metrics) in enumerate(reference.run()):
        close(metrics["loss"], case["loss"][i])
        np.testing.assert_allclose(metrics["kd"], case["kd"][i], rtol=1e-9, atol=1e-12)
        if i == ends[0]:
            close(after.variables.params, params("mlp", case, "_after_forget"))
        if i in ends:
            answers = reference.model.apply(after.variables, case["x_test"])[0].argmax(-1)
            accuracies.append((answers == case["y_test"]).mean())
    close(after.variables.params, params("mlp", case, "_out"))
    close(np.array(accuracies), case["val_top1"], rtol=1e-6)  # the mean of booleans is a float32


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


QUICK = scrub.Config(epochs=3, max_epochs=2, batch_size=16, forget_batch_size=8, learning_rate=0.05)


def test_cut_feeds_keep_the_first_batches(mlp):
    stage = scrub.make(dataclasses.replace(QUICK, steps=4), mlp.model)
    lengths = [len(s.feed(np.random.default_rng(0), None).index) for s in stage.plan(mlp.split)]
    assert lengths == [2, 2]
    whole = scrub.make(QUICK, mlp.model).plan(mlp.split)[1].feed(np.random.default_rng(0), None)
    part = stage.plan(mlp.split)[1].feed(np.random.default_rng(0), None)
    np.testing.assert_array_equal(part.index, cut(whole, 2).index)
