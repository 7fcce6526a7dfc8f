"""SCAR and its self-forget variant: parity with reference numbers in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from junlearn.engine.batches import gather, specify
from junlearn.methods import scar, scar_self
from junlearn.models.modules import BatchNorm, Conv, Dense
from junlearn.parts import feeds
from junlearn.parts import scar_shared as metric
from junlearn.parts.class_statistics import marks
from junlearn.types import Data, Model, Split, Variables
from tests.golden_nets import batches, params

NONE = np.zeros(0, int)
FACTOR = np.exp(1e-4)
"""Stands before every divergence of the reference, which adds 1e-4 to both log-probabilities."""


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def close(ours, reference, rtol=1e-9):
    def leaf(a, b):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * float(np.abs(b).max()))

    jax.tree.map(leaf, ours, reference)


class Positive(nn.Module):
    """z = relu(relu(x W1 + b1) W2 + b2) W3 + b3: the embedding is not negative."""

    widths: tuple[int, int, int]

    @nn.compact
    def __call__(self, x):
        for name, width in zip(("fc1", "fc2"), self.widths[:2], strict=True):
            x = nn.relu(Dense(width, name=name)(x))
        return Dense(self.widths[2], name="fc3")(x)


class Normalised(nn.Module):
    """Convolution without bias, BatchNorm, relu, mean over the positions, linear."""

    @nn.compact
    def __call__(self, x, train=False, mask=None):
        x = Conv(4, (3, 3), padding=((1, 1), (1, 1)), use_bias=False, name="conv")(x)
        x = nn.relu(BatchNorm(name="norm")(x, train=train, mask=mask))
        return Dense(5, name="fc")(x.mean((1, 2)))


def positive(case):
    widths = tuple(case[name].shape[1] for name in ("W1", "W2", "W3"))
    model = Model.from_linen(Positive(widths), layers=("fc1", "fc2", "fc3"))
    return model, Variables(params("mlp", case, ""), {})


def normalised(case, suffix=""):
    a = {name: jnp.asarray(case[name + suffix]) for name in ("kernel", "scale", "shift")}
    fc = {name: jnp.asarray(case[f"fc_{name}{suffix}"]) for name in ("kernel", "bias")}
    norm = {"scale": a["scale"], "bias": a["shift"]}
    running = {name: jnp.asarray(case[name + suffix]) for name in ("mean", "var")}
    return Variables(
        {"conv": {"kernel": a["kernel"]}, "norm": norm, "fc": fc},
        {"batch_stats": {"norm": running}},
    )


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

    def epoch(self, sizes, state=None):
        """The main stage over forget batches of `sizes`, each with all surrogate batches but the last."""
        ends = np.cumsum(sizes)
        index = [
            np.resize(self.forget[e - n : e], max(sizes)) for n, e in zip(sizes, ends, strict=True)
        ]
        mask = np.arange(max(sizes)) < np.asarray(sizes)[:, None]
        feed = metric.rounds(
            feeds.Feed(np.stack(index).astype(np.int32), mask),
            lambda: self.surrogate_feed,
            steps=len(self.surrogate_feed.index) - 1,
            eval_every=1,
            discard=True,
        )
        kinds = feed["forget"].slot[:, 0]
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
    assert kinds.tolist() == [0, 1, 0, 1, 2]
    for update, suffix in ((0, "_step1"), (1, "_out")):
        after, metrics = steps[2 * update + 1]
        close(after.variables.params, params("mlp", case, suffix))
        close(metrics["forget_loss"], case["loss_forget"][update])
        close(metrics["retain_loss"], case["loss_retain"][update])
        targets = after.targets[reference.forget]
        np.testing.assert_array_equal(targets, case["target_class"])
        close(steps[2 * update + 2][0].watch.accuracy, case["forget_acc"][update])
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
    assert kinds.tolist() == [0, 1, 1, 0, 1, 1, 2] * 2
    for update, row in enumerate(np.flatnonzero(kinds == 0)):
        before, (after, metrics), measured = steps[row][0], steps[row + 1], steps[row + 3][0]
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
    model = Model.from_linen(Normalised(), layers=("conv", "norm", "fc"))
    reference = Reference(case, scar, model, normalised(case), **scar_fields(case))
    kinds, steps = reference.epoch([len(case["x_forget"])])
    updates = [steps[row + 1] for row in np.flatnonzero(kinds == 0)]
    close([m["forget_loss"] for _, m in updates], list(case["loss_forget"]))
    close([m["retain_loss"] for _, m in updates], list(case["loss_retain"]))
    close(updates[1][0].variables, normalised(case, "_step2"))
    close(steps[-1][0].variables, normalised(case, "_out"))
    # Before the pass that is thrown away.
    close(steps[-2][0].variables, normalised(case, "_step2"))


def test_reference_self_forget(golden, float64):
    case = golden("scar_corrective/05_scar_self")
    model, variables = positive(case)
    reference = Reference(case, scar_self, model, variables)
    feed = reference.surrogate_feed
    steps = drive(reference.stages[-1], reference.state, reference.sources, feed)
    performed = [int(metrics["members"] > 0) for _, metrics in steps[1:]]
    assert performed == case["performed"].tolist() == [1, 0, 1]
    for update, (row, suffix) in enumerate(((1, "_step1"), (3, "_out"))):
        after, metrics = steps[row]
        close(metrics["forget_loss"], case["loss_forget"][update])
        close(metrics["retain_loss"], case["loss_retain"][update])
        close(after.variables.params, params("mlp", case, suffix))
    skipped, before = steps[2][0], steps[1][0]
    jax.tree.map(np.testing.assert_array_equal, skipped.optimizer, before.optimizer)
    # Without BatchNorm the features of the first pass are those of the second.
    model, variables = positive(case)
    fast = Reference(case, scar_self, model, variables, second_forward=False)
    done = drive(fast.stages[-1], fast.state, fast.sources, feed)[-1][0]
    close(done.variables.params, params("mlp", case, "_out"))
    # Who wants it distils where there is nothing to forget.
    more = Reference(case, scar_self, model, variables, distil_without=True)
    second = drive(more.stages[-1], more.state, more.sources, feed)[2][0]
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), second.variables, before.variables)
    assert any(jax.tree.leaves(moved))


def test_reference_distillation(golden, float64):
    case = golden("scar_corrective/03_distillation")
    config = scar.Config(temperature=float(case["temperature"]))
    weight, keep_all = float(case["lambda2"]) * FACTOR, jnp.ones(8, bool)
    teacher, student = (jnp.asarray(case[f"{name}_logits"]) for name in ("teacher", "student"))
    target, keep = metric.redirected(
        teacher, keep_all, marks([int(case["removed_class"])], teacher.shape[1])
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
        return weight * metric.distillation(config, teacher, student, keep_all)

    value, slope = jax.value_and_grad(homogeneous)(student)
    close(value, case["loss_hr"])
    close(slope, case["grad_hr_student"])
