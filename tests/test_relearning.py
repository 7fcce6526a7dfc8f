"""Relearn time and anamnesis index: the formulas, the fine-tuning behind them, and both through the library."""

import itertools
import json

import chex
import jax
import numpy as np
import pytest
from flax import linen as nn

import junlearn
from junlearn import cli, outputs, relearn
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.predict import evaluate_accuracy
from junlearn.main import main
from junlearn.methods import finetune, retrain
from junlearn.metrics import METRICS, Context, Outputs, Relearned, compute

NAMES = ("relearn", "anamnesis")
QUICK = finetune.Config(epochs=40, batch_size=4, learning_rate=0.05)


def context(spent, **changes):
    """A context whose original is right on 4 of 5 forget rows, and the questions that were asked of it."""
    asked = []

    def answer(role, level):
        asked.append((role, level))
        return spent[role]

    logits = Outputs({"forget_train": np.eye(2)[[0, 0, 0, 0, 1]]})
    labels = {"forget_train": np.zeros(5, int)}
    fields = {"original": logits, "retrain": logits, "relearn": answer} | changes
    return Context(logits, labels, **fields), asked


def test_by_hand():
    spent = {"model": Relearned(6, 1.5, True), "retrain": Relearned(12, 3.0, True)}
    given, asked = context(spent)
    assert compute(given, NAMES) == {
        "relearn/steps": 6.0,
        "relearn/epochs": 1.5,
        "relearn/reached": 1.0,
        "anamnesis": pytest.approx(6.01 / 12.01),
        "anamnesis/reached": 1.0,
    }
    near = pytest.approx(0.95 * 0.8)
    assert asked == [("model", 0.8), ("model", near), ("retrain", near)]


def test_a_cap_that_was_met_is_told():
    spent = {"model": Relearned(6, 1.5, True), "retrain": Relearned(40, 10.0, False)}
    assert METRICS["anamnesis"](context(spent)[0])["anamnesis/reached"] == 0.0
    both_at_once = {"model": Relearned(0, 0.0, True), "retrain": Relearned(0, 0.0, True)}
    assert METRICS["anamnesis"](context(both_at_once)[0])["anamnesis"] == 1.0


@pytest.mark.parametrize("absent", ["original", "relearn"])
def test_nothing_without_what_is_needed(absent):
    given, _ = context({}, **{absent: None})
    assert compute(given, NAMES) == {}
    given, _ = context({}, retrain=None)
    assert METRICS["anamnesis"](given) == {}


def again(problem, level, config=QUICK):
    return relearn.relearn(
        config,
        problem.model,
        problem.variables,
        problem.sources,
        problem.split,
        level,
        key=jax.random.key(0),
        views=PLAIN_VIEWS,
    )


def test_counts_steps_until_the_level(mlp):
    assert again(mlp, 0.0) == Relearned(0, 0.0, True)
    found = again(mlp, 1.0)
    per_epoch = -(-len(mlp.split.forget) // 4)
    assert found.reached and 0 < found.steps < 40 * per_epoch
    assert found.epochs == pytest.approx(found.steps / per_epoch)
    # Its own count of steps: as many are enough, one less is not.
    method = finetune.make(QUICK, mlp.model)
    split = mlp.split._replace(retain=mlp.split.forget)
    for count, enough in ((found.steps, True), (found.steps - 1, False)):
        stopped = method._replace(plan=lambda split, n=count: [_first(method.plan(split)[0], n)])
        done = junlearn.run(
            stopped,
            mlp.model,
            mlp.variables,
            mlp.sources,
            split,
            key=jax.random.key(0),
        )
        variables = done.variables
        hit = evaluate_accuracy(
            mlp.model, variables, mlp.sources, mlp.split.forget, views=PLAIN_VIEWS
        )
        assert (hit["accuracy"] == 1) == enough
    capped = again(mlp, 2.0, finetune.Config(epochs=2, batch_size=4))
    assert capped == Relearned(2 * per_epoch, 2.0, False)


def _first(stage, count):
    """The stage, ended after so many steps."""
    return stage._replace(until=lambda state, evaluate: int(state.step) >= count, check_every=1)


def test_a_curve_by_hand():
    curve = {
        0: {"retain_train": 0.9, "forget_train": 0.1, "test": 0.5},
        100: {"retain_train": 1.0, "forget_train": 0.6, "test": 0.7},
    }
    given = context({})[0]._replace(relearn_retain=lambda: curve)
    assert compute(given, ["relearn_retain"]) == {
        "relearn_retain/gap": pytest.approx(0.6),
        "relearn_retain/gap/0": pytest.approx(0.8),
        "relearn_retain/gap/100": pytest.approx(0.4),
        **{f"relearn_retain/{n}/{step}": v for step in curve for n, v in curve[step].items()},
    }
    assert METRICS["relearn_retain"](context({})[0]) == {}


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(4)(x.reshape(len(x), -1))
        return nn.Dense(4)(nn.BatchNorm(use_running_average=not train)(x))


def test_an_epoch_on_the_retain_set(mlp, monkeypatch):
    """A look before it and one every so many steps, BatchNorm in train mode between any two."""
    monkeypatch.setattr(relearn, "LOOK_EVERY", 2)
    looks = []
    original = outputs.outputs

    def watched(model, variables, *rest, **options):
        found = original(model, variables, *rest, **options)
        looks.append((jax.tree.map(np.array, variables), found.logits))
        return found

    monkeypatch.setattr(outputs, "outputs", watched)
    model = junlearn.Model.from_linen(Normalised())
    variables = model.fresh(jax.random.key(1), mlp.sources)
    config = finetune.Config(epochs=9, batch_size=7, learning_rate=0.05)
    problem = (model, variables, mlp.sources, mlp.split)
    curve = relearn.relearn_retain(config, *problem, key=jax.random.key(0), views=PLAIN_VIEWS)
    # 34 retain examples are five batches of 7.
    assert list(curve) == [0, 2, 4] and len(looks) == 3
    for (_, logits), found in zip(looks, curve.values(), strict=True):
        assert list(found) == list(relearn.SPLITS)
        for name, rows in (("forget_train", mlp.split.forget), ("retain_train", mlp.split.retain)):
            right = logits[name].argmax(1) == mlp.sources["train"].y[rows]
            assert found[name] == pytest.approx(right.mean())
    chex.assert_trees_all_equal(looks[0][0], variables)
    for (before, _), (after, _) in itertools.pairwise(looks):
        for old, new in zip(*map(jax.tree.leaves, (before.stats, after.stats)), strict=True):
            assert (old != new).any()


def test_the_recipe_of_the_original():
    recipe = retrain.Config(optimizer="sgd", learning_rate=0.3, weight_decay=1e-3, batch_size=7)
    config = relearn.like(recipe)
    same = ("optimizer", "learning_rate", "momentum", "weight_decay", "batch_size")
    assert [getattr(config, n) for n in same] == [getattr(recipe, n) for n in same]
    assert config.epochs == relearn.CAP and not config.augment


def right(problem, split):
    source = split.removeprefix("retain_")
    rows = problem.split.retain if source == "train" else np.arange(len(problem.sources["test"].y))
    found = evaluate_accuracy(
        problem.model, problem.variables, problem.sources, rows, source, views=PLAIN_VIEWS
    )
    return found["accuracy"]


def test_through_evaluate(mlp):
    values = junlearn.evaluate(
        mlp.model,
        mlp.variables,
        mlp.sources,
        mlp.split,
        original=mlp.variables,
        retrain=mlp.variables,
        metrics=("distance", *NAMES, "relearn_retain"),
        relearning=QUICK,
    )
    assert values["relearn_retain/gap"] == values["relearn_retain/gap/0"]
    for split in ("retain_train", "test"):
        assert values[f"relearn_retain/{split}/0"] == pytest.approx(right(mlp, split))
    # What the original knows of the forget set, it knows already.
    assert values["relearn/steps"] == 0 and values["anamnesis"] == 1
    layers = ("dense1", "dense2", "head", "total")
    distances = {name for name in values if name.startswith("distance/")}
    assert distances == {f"distance/{r}/{x}" for r in ("original", "retrain") for x in layers}


EXPERIMENT = """
methods = ["neggrad"]
metrics = ["accuracy", "distance", "relearn", "anamnesis", "relearn_retain"]
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [16]
[scenario]
name = "class"
classes = [3]
[train]
epochs = 2
learning_rate = 0.01
[method.neggrad]
epochs = 1
"""


def test_through_an_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    (tmp_path / "a.toml").write_text(EXPERIMENT)
    assert main(["--config", "a.toml", "--workdir", "w", "--plot-format", "png", "svg"]) == 0
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "w" / "plots").iterdir()}
    # Those of the records, and those of what the kept networks say.
    for name in ("gaps", "relearning", "curves", "confusion", "embedding", "confidence"):
        assert drawn[f"{name}.png"].startswith(b"\x89PNG")
        assert drawn[f"{name}.svg"].startswith(b"<?xml")
    lines = (tmp_path / "w" / "records.jsonl").read_text().splitlines()
    original, reference, unlearned = (json.loads(line)["metrics"] for line in lines)
    assert original["relearn/steps"] == 0 and original["relearn/reached"] == 1
    assert reference["relearn/steps"] > 0 and reference["relearn/reached"] == 1
    assert reference["anamnesis"] == 1 and original["anamnesis"] < 0.01
    assert unlearned["anamnesis"] > 0 and {"relearn/epochs", "anamnesis/reached"} <= set(unlearned)
    for metrics in (original, reference, unlearned):
        gap = metrics["accuracy/retain_train"] - metrics["accuracy/forget_train"]
        assert metrics["relearn_retain/gap/0"] == pytest.approx(gap)
    assert original["distance/original/total"] == reference["distance/retrain/total"] == 0
    assert 0 < unlearned["distance/original/total"] < unlearned["distance/retrain/total"]
