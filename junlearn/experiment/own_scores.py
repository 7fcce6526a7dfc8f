"""Scores of how hard examples are to forget, for a person with a model and arrays of their own.

They are those of the scenarios "memorised", "entangled" and "worst_case" (`junlearn.hardness`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from junlearn.engine.batches import PLAIN_VIEWS, view_of
from junlearn.engine.inputs.networks import network_of
from junlearn.engine.inputs.options import check_views, seed_of, sort_options
from junlearn.engine.showing import counted
from junlearn.experiment.conversion import convert
from junlearn.hardness import bilevel
from junlearn.hardness import entanglement as embedding
from junlearn.hardness.memorisation import trained_scores
from junlearn.methods import retrain
from junlearn.scenarios import memorised
from junlearn.scenarios import worst_case as hard
from junlearn.scenarios.split_off import fitting, split_of
from junlearn.types import Data, Model, PyTree, Sources, Split, Variables, View

__all__ = ["entanglement", "memorisation", "worst_case"]


def memorisation(
    model: Model,
    data: Data | Sources,
    *,
    models: int = 64,
    share: float = 0.7,
    seed: int = 0,
    **options: Any,
) -> np.ndarray:
    """float64[N]: how much more often networks are right about each training example when they were trained on it.

    `models` networks are trained on random subsets, each a `share` of the training set (Feldman's score). `options` are
    fields of the recipe, as of `train`, and `views`, `loop` and `progress` of `train_many`.
    `junlearn.ranking.group(scores, "high", 100)` are the rows of a group, for `split_off`.

    Raises ConfigError as `train` does, and where an example is in every subset or in none.
    """
    fields, runs = sort_options(options, ("views", "loop", "progress"))
    recipe = convert(retrain.Config, fields, "memorisation")
    settings = convert(
        memorised.Config, {"models": models, "share": share, "networks_seed": seed}, "memorisation"
    )
    sources, _ = fitting(model, data, runs.get("views"))
    views = runs.pop("views", None) or PLAIN_VIEWS
    with counted("memorisation", runs.pop("progress", "auto")) as count:
        return trained_scores(
            recipe,
            model,
            sources,
            models=settings.models,
            share=settings.share,
            seed=settings.networks_seed,
            views=views,
            progress=count,
            **runs,
        )


def entanglement(
    model: Model,
    variables: Variables | Mapping[str, PyTree],
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    *,
    views: Mapping[str, View] = PLAIN_VIEWS,
) -> float:
    """The entanglement score (ES) of a request: how mixed its examples are with the others in a network's embedding.

    Raises ConfigError as `unlearn` does, and where the network has no embedding.
    """
    check_views(views)
    sources, shapes = fitting(model, data, views)
    split = split_of(sources, split, shapes.classes)
    numbers = network_of(variables, shapes)
    embedded = embedding.embeddings(model, numbers, sources, view=view_of(views, "train", "eval"))
    return embedding.score(embedded[split.retain], embedded[split.forget])


def worst_case(
    model: Model,
    variables: Variables | Mapping[str, PyTree],
    data: Data | Sources,
    size: int,
    *,
    seed: int = 0,
    views: Mapping[str, View] = PLAIN_VIEWS,
    **settings: Any,
) -> np.ndarray:
    """float64[N]: a weight of each training example, the larger the harder the network forgets it; they sum to `size`.

    `settings` are fields of the scenario "worst_case": `rounds`, `epochs`, `learning_rate` ...; at the level "classes"
    the weights are those of the examples' classes. `junlearn.ranking.group(weights, "high", size)` are the rows.

    Raises ConfigError as `unlearn` does, and for settings that there are not or are out of range.
    """
    check_views(views)
    config = convert(hard.Config, {"size": size, **settings}, "worst_case")
    sources, shapes = fitting(model, data, views)
    numbers = network_of(variables, shapes)
    asked = dict(hard.scoring(config).settings)
    view = view_of(views, "train", "eval")
    return bilevel.search(
        model, numbers, sources, settings=asked, view=view, seed=seed_of(seed, "seed")
    )
