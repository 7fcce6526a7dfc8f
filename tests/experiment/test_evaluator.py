"""What metrics are given, and that what concerns the references is computed once for all networks."""

import jax
import numpy as np
import pytest

from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.experiment import evaluator
from junlearn.experiment.evaluator import Evaluator, Relearning, Subject
from junlearn.main import main
from junlearn.methods import finetune
from junlearn.metrics import Relearned
from tests.tiny_run import arguments, results


@pytest.fixture
def seen(monkeypatch):
    """The networks that were looked at and trained on, in order."""
    found = []
    real = evaluator.outputs.outputs

    def outputs(model, variables, *arguments):
        found.append("outputs")
        return real(model, variables, *arguments)

    def relearn(config, model, variables, sources, split, level, **options):
        assert options["progress"] is None
        found.append(level)
        return Relearned(len(found), 0.0, True)

    monkeypatch.setattr(evaluator.outputs, "outputs", outputs)
    monkeypatch.setattr(evaluator.relearn, "relearn", relearn)
    return found


def subjects(mlp, *labels):
    return [
        Subject(label, mlp.model, jax.tree.map(lambda a, n=n: a * n, mlp.variables))
        for n, label in enumerate(labels, start=1)
    ]


def make(mlp, **references):
    return Evaluator(
        sources=mlp.sources,
        split=mlp.split,
        views=PLAIN_VIEWS,
        references={role: lambda subject=subject: subject for role, subject in references.items()},
        relearning=Relearning(finetune.Config(), {"progress": print}),
    )


def test_references_are_looked_at_once(mlp, seen):
    original, retrain, random, first, second = subjects(mlp, "o", "r", "u", "a", "b")
    made = make(mlp, original=original, retrain=retrain, random=random)
    contexts = [made.context(subject) for subject in (first, second)]
    assert seen == ["outputs"] * (3 + 2)
    for subject, context in zip((first, second), contexts, strict=True):
        assert context.networks["model"] is subject.variables
        assert set(context.networks) == {"model", "original", "retrain"}
        assert context.original is contexts[0].original
        assert set(context.random.logits) == {"forget_train", "test"}
        assert not np.array_equal(context.model.logits["test"], context.original.logits["test"])
    assert len(contexts[0].sample) == len(mlp.split.forget)


def test_a_reference_is_compared_with_itself(mlp, seen):
    original, retrain = subjects(mlp, "o", "r")
    made = make(mlp, original=original, retrain=retrain)
    context = made.context(retrain, "retrain")
    assert context.model is context.retrain and context.random is None
    assert seen == ["outputs"] * 2


def test_relearning_of_a_reference_is_done_once_for_each_level(mlp, seen):
    original, retrain, first, second = subjects(mlp, "o", "r", "a", "b")
    made = make(mlp, original=original, retrain=retrain)
    own = made.context(retrain, "retrain")
    others = [made.context(subject) for subject in (first, second)]
    seen.clear()
    asked = [own.relearn("model", 0.5), own.relearn("retrain", 0.5)]
    asked += [context.relearn("retrain", 0.5) for context in others]
    assert asked == [Relearned(1, 0.0, True)] * 4 and seen == [0.5]
    own.relearn("retrain", 0.75)
    assert seen == [0.5, 0.75]
    assert [context.relearn("model", 0.5).steps for context in others * 2] == [3, 4, 5, 6]


def test_without_references(mlp, seen):
    (alone,) = subjects(mlp, "a")
    context = make(mlp).context(alone)
    assert (context.original, context.retrain, context.random) == (None, None, None)
    assert set(context.networks) == {"model"} and seen == ["outputs"]


def test_an_experiment_trains_networks_on(tmp_path):
    """With the keywords of its own runs, and the original and the retrained network by the same metrics."""
    names = ["relearn", "anamnesis", "relearn_retain"]
    assert main(arguments(tmp_path, metrics=names, reference=True)) == 0
    original, retrain, finetune = (record["metrics"] for record in results(tmp_path))
    assert original["relearn/steps"] == 0 < retrain["relearn/steps"]
    assert retrain["anamnesis"] == 1 and finetune["anamnesis"] >= 0
    assert set(original) == set(retrain) == set(finetune)
