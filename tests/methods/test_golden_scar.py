"""SCAR and its self-forget variant: parity with reference numbers in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.batches import gather, specify
from junlearn.methods import scar, scar_self
from junlearn.parts import feeds
from junlearn.parts import scar_shared as metric
from junlearn.parts.passes import marks
from junlearn.types import Data, Split
from tests.golden_nets import batches, close, params
from tests.golden_scar_nets import normalised, normalised_weights, positive

NONE = np.zeros(0, int)
pytestmark = pytest.mark.parity
FACTOR = np.exp(1e-4)
"""Stands before every divergence of the reference, which adds 1e-4 to both log-probabilities."""


def drive(stage, state, sources, feed=None):
    """The state and the metrics after every step of an epoch, the state before it first."""
    views = {view: lambda rows, keys: rows.x for view in ("eval", "augment")}
    spec, rows = specify(stage.feed(np.random.default_rng(0), state) if feed is None else feed)
    step = jax.jit(stage.step)
    steps = [(state, {})]
    for t in range(len(rows[0][0])):
        row = jax.tree.map(lambda array, t=t: array[t], rows)
        batch = gather(spec, row, sources, views, jax.random.key(0))
        steps.append(step(steps[-1][0], batch))
    return steps


class Reference:
    """A reference case as sources, split and method, after the statistics."""

    def __init__(self, case, module, model, variables, **fields):
        retain, forget = len(case["x_retain"]), len(case["x_forget"])
        removed = tuple(np.atleast_1d(case["removed_class"])) if "removed_class" in case else ()
        own = case["y_forget"] if "y_forget" in case else np.full(forget, removed[0])
        x = np.concatenate([case["x_retain"], case["x_forget"]])
        y = np.concatenate([case["y_retain"], own]).astype(np.int32)
        self.forget = np.arange(retain, retain + forget)
        sizes = case["surrogate_sizes"]
        given = {
            "surrogate_x": case["x_surrogate"],
            "surrogate_y": np.zeros(len(case["x_surrogate"]), np.int32),
            "surrogate_len": sizes,
        }
        surrogate, feed = batches(given, "surrogate")
        self.surrogate_feed = feed._replace(source="surrogate", view="augment")
        self.sources = {"train": Data(jnp.asarray(x), jnp.asarray(y)), "surrogate": surrogate}
        classes = tuple(int(c) for c in removed)
        self.split = Split(self.forget, np.arange(retain), NONE, NONE, classes)
        self.config = module.Config(
            learning_rate=float(case["lr"]),
            weight_decay=float(case["wd"]),
            lambda_1=float(case["lambda1"]),
            lambda_2=float(case["lambda2"]) * FACTOR,
            delta=float(case["delta"]),
            gamma_1=float(case["gamma1"]),
            gamma_2=float(case["gamma2"]),
            v2_mask=True,
            batch_size=16,
            **fields,
        )
        method = module.make(self.config, model)
        self.stages = method.plan(self.split)
        state = method.init(jax.random.key(0), variables, self.sources, self.split)
        moments, whitened = self.stages[:2]
        state = drive(moments, state, self.sources)[-1][0]
        rows = np.asarray(case["classes"])
        close(state.statistics[1][rows], case["class_mean"])
        self.state = drive(whitened, state, self.sources)[-1][0]
        matrix = self.state.statistics[2][rows]
        close(jnp.einsum("kde,kdf->kef", matrix, matrix), case["class_inv"])

        self.updates = int(case.get("num_retain_samp", 0)) + 1
        """With each forget batch."""

    def epoch(self, sizes, state=None):
        """The main stage over forget batches of `sizes`: what each of its steps is, and all of them."""
        ends = np.cumsum(sizes)
        index = [
            np.resize(self.forget[e - n : e], max(sizes)) for n, e in zip(sizes, ends, strict=True)
        ]
        mask = np.arange(max(sizes)) < np.asarray(sizes)[:, None]
        feed = metric.rounds(
            feeds.Feed(np.stack(index).astype(np.int32), mask),
            lambda: self.surrogate_feed,
            steps=self.updates,
            eval_every=1,
            discard=True,
        )
        kinds = feed["forget"].slot[:, 0]
        # Every update is followed by a look at the forget set; a batch that is left over is passed in train mode.
        pattern = ([metric.UPDATE] + [metric.MEASURE] * len(sizes)) * self.updates
        pattern += [metric.DISCARD] * (len(self.surrogate_feed.index) > self.updates)
        assert kinds.tolist() == pattern * len(sizes)
        steps = drive(self.stages[-1], self.state if state is None else state, self.sources, feed)
        return kinds, steps


def scar_fields(case):
    return {"temperature": float(case["temperature"]), "discard_last": True}


def test_reference_class_removal(golden, float64):
    case = golden("scar_corrective/04_scar_cr_two_updates")
    model, variables = positive(case)
    reference = Reference(case, scar, model, variables, **scar_fields(case))
    state = reference.state
    z = model.apply(variables, jnp.asarray(case["x_forget"]))[1]["embedding"]
    first = metric.forget_distances(reference.config, state.statistics, z)
    close(first[:, case["classes"]], case["D_first"])
    assert np.isinf(first[:, int(case["removed_class"])]).all()
    kinds, steps = reference.epoch([len(z)])
    updates = np.flatnonzero(kinds == metric.UPDATE)
    for update, row in enumerate(updates):
        after, metrics = steps[row + 1]
        close(metrics["forget_loss"], case["loss_forget"][update])
        close(metrics["retain_loss"], case["loss_retain"][update])
        targets = after.targets[reference.forget]
        np.testing.assert_array_equal(targets, case["target_class"])
        close(steps[row + 2][0].watch.accuracy, case["forget_acc"][update])
    for row, suffix in ((updates[0], "_step1"), (updates[-1], "_out")):
        close(steps[row + 1][0].variables.params, params("mlp", case, suffix))
    assert (after.targets[: len(case["x_retain"])] == -1).all()
    close(steps[-1][0].variables.params, params("mlp", case, "_out"))


def test_reference_homogeneous_removal(golden, float64):
    case = golden("scar_corrective/04b_scar_hr_four_updates")
    model, variables = positive(case)
    fields = scar_fields(case) | {"class_gate": float(case["gate_threshold"]), "target": 0.0}
    reference = Reference(case, scar, model, variables, **fields)
    (ask,) = (stage for stage in reference.stages if stage.name.startswith("teacher"))
    state = drive(ask, reference.state, reference.sources)[-1][0]
    close(state.logits, model.apply(variables, jnp.asarray(case["x_surrogate"]))[0])
    # Those of the case come from another network.
    state = state._replace(logits=jnp.asarray(case["surrogate_logits"]))
    kinds, steps = reference.epoch(case["forget_sizes"], state)
    batches_measured = len(case["forget_sizes"])
    for update, row in enumerate(np.flatnonzero(kinds == metric.UPDATE)):
        before, (after, metrics) = steps[row][0], steps[row + 1]
        measured = steps[row + 1 + batches_measured][0]
        close(before.watch.weights, case["gate_used"][update])
        close(metrics["forget_loss"], case["loss_forget"][update])
        close(metrics["retain_loss"], case["loss_retain"][update])
        if update == 0:
            close(after.variables.params, params("mlp", case, "_step1"))
        watch = measured.watch
        close(np.asarray(watch.correct) / np.maximum(watch.counts, 1), case["class_acc"][update])
        close(watch.accuracy, case["forget_acc"][update])
    done = steps[-1][0]
    np.testing.assert_array_equal(done.targets[reference.forget], case["target_class"])
    close(done.variables.params, params("mlp", case, "_out"))


def test_reference_batch_norm(golden, float64):
    case = golden("scar_corrective/04c_scar_cr_batchnorm")
    model, variables = normalised(case)
    reference = Reference(case, scar, model, variables, **scar_fields(case))
    kinds, steps = reference.epoch([len(case["x_forget"])])
    updates = [steps[row + 1] for row in np.flatnonzero(kinds == metric.UPDATE)]
    close([m["forget_loss"] for _, m in updates], list(case["loss_forget"]))
    close([m["retain_loss"] for _, m in updates], list(case["loss_retain"]))
    close(updates[1][0].variables, normalised_weights(case, "_step2"))
    close(steps[-1][0].variables, normalised_weights(case, "_out"))
    # The pass that is thrown away moves the running statistics alone.
    assert kinds[-1] == metric.DISCARD
    close(updates[-1][0].variables.params, normalised_weights(case, "_out").params)
    with pytest.raises(AssertionError):
        close(updates[-1][0].variables.stats, normalised_weights(case, "_out").stats)


def test_reference_self_forget(golden, float64):
    case = golden("scar_corrective/05_scar_self")
    model, variables = positive(case)
    reference = Reference(case, scar_self, model, variables)
    feed = reference.surrogate_feed
    steps = drive(reference.stages[-1], reference.state, reference.sources, feed)
    performed = [int(metrics["members"] > 0) for _, metrics in steps[1:]]
    assert performed == case["performed"].tolist()
    updates = np.flatnonzero(performed)
    for update, row in enumerate(updates):
        _, metrics = steps[row + 1]
        close(metrics["forget_loss"], case["loss_forget"][update])
        close(metrics["retain_loss"], case["loss_retain"][update])
    for row, suffix in ((updates[0], "_step1"), (updates[-1], "_out")):
        close(steps[row + 1][0].variables.params, params("mlp", case, suffix))
    skipped = np.flatnonzero(np.logical_not(performed))
    for row in skipped:
        optimizers = (state.optimizer for state, _ in steps[row : row + 2])
        jax.tree.map(np.testing.assert_array_equal, *optimizers)
    # Without BatchNorm the features of the first pass are those of the second.
    model, variables = positive(case)
    fast = Reference(case, scar_self, model, variables, second_forward=False)
    done = drive(fast.stages[-1], fast.state, fast.sources, feed)[-1][0]
    close(done.variables.params, params("mlp", case, "_out"))
    # Who wants it distils where there is nothing to forget.
    more = Reference(case, scar_self, model, variables, distil_without=True)
    steps = drive(more.stages[-1], more.state, more.sources, feed)
    for row in skipped:
        before, after = (state.variables for state, _ in steps[row : row + 2])
        moved = jax.tree.map(lambda a, b: bool((a != b).any()), after, before)
        assert any(jax.tree.leaves(moved))


def test_reference_distillation(golden, float64):
    case = golden("scar_corrective/03_distillation")
    config = scar.Config(temperature=float(case["temperature"]))
    weight = float(case["lambda2"]) * FACTOR
    teacher, student = (jnp.asarray(case[f"{name}_logits"]) for name in ("teacher", "student"))
    target, keep = metric.redirected(
        teacher,
        jnp.ones(len(teacher), bool),
        marks([int(case["removed_class"])], teacher.shape[1]),
    )
    np.testing.assert_array_equal(keep, case["keep"].astype(bool))
    close(target[keep] / config.temperature, case["teacher_target"])
    close(metric.distillation(config, target, student, keep) * FACTOR, case["kl_cr"])

    def loss(student):
        return weight * metric.distillation(config, target, student, keep)

    value, slope = jax.value_and_grad(loss)(student)
    close(value, case["loss_cr"])
    close(slope[keep], case["grad_student_kept"])
    assert (slope[~keep] == 0).all()
    teacher, student = (jnp.asarray(case[f"hr_{name}_logits"]) for name in ("teacher", "student"))

    def homogeneous(student):
        every = jnp.ones(len(teacher), bool)
        return weight * metric.distillation(config, teacher, student, every)

    value, slope = jax.value_and_grad(homogeneous)(student)
    close(value, case["loss_hr"])
    close(slope, case["grad_hr_student"])
