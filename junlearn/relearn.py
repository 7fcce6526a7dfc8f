"""What relearning metrics ask for: fine-tuning on the forget set until it is known again, or an epoch on the rest."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from junlearn import outputs
from junlearn.engine.predict import evaluate_accuracy
from junlearn.engine.run import run
from junlearn.methods import build, finetune, retrain
from junlearn.metrics import Curve, Relearned
from junlearn.metrics.accuracy import correct
from junlearn.types import Key, Model, PyTree, Sources, Split, Stage, Variables, View

__all__ = ["CAP", "DEFAULT", "LOOK_EVERY", "SPLITS", "like", "relearn", "relearn_retain"]

CAP = 100
"""Most passes over the forget set."""

DEFAULT = finetune.Config(epochs=CAP)
"""Where no recipe of the original is known."""

LOOK_EVERY = 100
"""Steps on the retain set between two looks."""

SPLITS = ("retain_train", "forget_train", "test", "retain_test", "forget_test")
"""What is looked at."""

ROUNDING = 1e-6
"""What an accuracy may fall short of its level."""


def like(recipe: retrain.Config) -> finetune.Config:
    """Fine-tuning with the optimiser and the batches of a training recipe, at its rate without a schedule."""
    return finetune.Config(
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        batch_size=recipe.batch_size,
        epochs=CAP,
    )


def relearn(
    config: finetune.Config,
    model: Model,
    variables: Variables,
    sources: Sources,
    split: Split,
    level: float,
    *,
    key: Key,
    views: Mapping[str, View],
    **options: Any,
) -> Relearned:
    """Fine-tune on `split.forget` until the accuracy there is `level`, asked after every step, at most `config.epochs`.

    `steps` and `keep` of the recipe have no meaning here. `options` go to `junlearn.engine.run.run`. A network
    that is there already takes no step.
    """

    def known(variables: Variables) -> bool:
        found = evaluate_accuracy(model, variables, sources, split.forget, views=views)
        return found["accuracy"] >= level - ROUNDING

    def until(state: PyTree, evaluate: Callable[..., dict[str, float]]) -> bool:
        return known(state.variables)

    if known(variables):
        return Relearned(0, 0.0, True)
    method = build("finetune", replace(config, steps=None, keep="last"), model)

    def plan(split: Split) -> list[Stage]:
        return [stage._replace(until=until, check_every=1) for stage in method.plan(split)]

    # Fine-tuning reads what is called the retain set.
    done = run(
        method._replace(plan=plan),
        model,
        variables,
        sources,
        split._replace(retain=split.forget, forget=split.retain),
        key=key,
        views=views,
        **options,
    )
    steps = sum(entry["steps"] for entry in done.history)
    epoch = -(-len(split.forget) // config.batch_size)
    return Relearned(steps, steps / epoch, known(done.variables))


def relearn_retain(
    config: finetune.Config,
    model: Model,
    variables: Variables,
    sources: Sources,
    split: Split,
    augment: bool = False,
    train_view: str = "eval",
    *,
    key: Key,
    views: Mapping[str, View],
    **options: Any,
) -> Curve:
    """Fine-tune on `split.retain` for one epoch, BatchNorm in train mode throughout, with accuracies along the way.

    Looks before the first step and after every 100th: `{steps: {split: accuracy}}`, in eval mode, training examples
    seen through `train_view`. `epochs`, `steps`, `augment` and `keep` of the recipe have no meaning here. `options` go
    to `junlearn.engine.run.run`.
    """
    labels = outputs.labels(sources, split, views)

    def look(variables: Variables) -> dict[str, float]:
        seen = outputs.outputs(
            model, variables, sources, split, views, SPLITS, train_view=train_view
        ).logits
        return {n: float(correct(seen[n], labels[n]).mean()) for n in SPLITS if n in seen}

    curve = {0: look(variables)}

    def until(state: PyTree, evaluate: Callable[..., dict[str, float]]) -> bool:
        step = int(state.step)
        # The end of the epoch is asked about too.
        if step % LOOK_EVERY == 0:
            curve[step] = look(state.variables)
        return False

    recipe = replace(config, epochs=1, steps=None, keep="last", augment=augment)
    method = build("finetune", recipe, model)

    def plan(split: Split) -> list[Stage]:
        stages = method.plan(split)
        return [stage._replace(until=until, check_every=LOOK_EVERY) for stage in stages]

    watched = method._replace(plan=plan)
    run(watched, model, variables, sources, split, key=key, views=views, **options)
    return curve
