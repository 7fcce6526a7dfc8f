"""Fine-tuning on the forget set until it is known again: what the relearning metrics ask for."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from junlearn.evaluation import evaluate_accuracy
from junlearn.methods import finetune, made, retrain
from junlearn.metrics import Relearned
from junlearn.run import run
from junlearn.types import Key, Method, Model, PyTree, Sources, Split, Stage, Variables, View

__all__ = ["CAP", "DEFAULT", "like", "relearn"]

CAP = 100
"""Most passes over the forget set."""

DEFAULT = finetune.Config(epochs=CAP)
"""Where no recipe of the original is known."""

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

    `steps` and `keep` of the recipe have no meaning here. `options` go to `junlearn.run.run`. A network that is there
    already takes no step.
    """

    def known(variables: Variables) -> bool:
        found = evaluate_accuracy(model, variables, sources, split.forget, views=views)
        return found["accuracy"] >= level - ROUNDING

    def until(state: PyTree, evaluate: Callable[..., dict[str, float]]) -> bool:
        return known(state.variables)

    if known(variables):
        return Relearned(0, 0.0, True)
    method = made("finetune", replace(config, steps=None, keep="last"), model)

    def plan(split: Split) -> list[Stage]:
        return [stage._replace(until=until, check_every=1) for stage in method.plan(split)]

    # Fine-tuning reads what is called the retain set.
    done = run(
        Method(method.init, plan, method.finish),
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
