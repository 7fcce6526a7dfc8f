"""Scores by name: what a scenario's `Scoring` asks for, computed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from junlearn.engine.settings import RunOptions
from junlearn.errors import unknown
from junlearn.hardness import bilevel, entanglement, memorisation, proxies
from junlearn.methods import retrain
from junlearn.types import Key, Model, Scoring, Sources, Variables

__all__ = ["SCORES", "Ground", "Score", "check", "compute", "cost", "score_of"]


class Ground(NamedTuple):
    """What scores are made from: what the original network of an experiment is made from."""

    model: Model
    sources: Sources
    recipe: retrain.Config
    key: Key
    """Of the original network's training."""
    seed: int
    """Of what a score draws itself."""
    options: RunOptions
    """Seed of the order, views and loop of the original network's training."""
    original: Callable[[], Variables]
    """Trains the original network, or reads it back."""
    progress: Callable[[int, int], None]


class Score(NamedTuple):
    """A kind of score."""

    of: Literal["original", "ensemble"]
    """original: of the experiment's original network, or of its training, so with its seeds. ensemble: of networks of
    its own, with the seed among the settings."""
    compute: Callable[[Mapping[str, Any], Ground], np.ndarray]
    """`(settings, ground) -> float64[N]`."""
    cost: Callable[[Mapping[str, Any]], str] = lambda settings: "the original network"
    """`(settings) -> text`: what networks it takes, such as "64 networks"."""
    check: Callable[[Mapping[str, Any], Sources], None] = lambda settings, sources: None
    """`(settings, sources)`: raises ConfigError where it is known beforehand that it cannot be had."""


def score_of(scoring: Scoring) -> Score:
    """The entry of what is asked for. Raises ConfigError for a kind that there is not."""
    if scoring.kind not in SCORES:
        raise unknown("score", scoring.kind, SCORES)
    return SCORES[scoring.kind]


def cost(scoring: Scoring) -> str:
    """What networks it takes, in words."""
    return score_of(scoring).cost(scoring.settings)


def check(scoring: Scoring, sources: Sources) -> None:
    """Raises ConfigError where it is known before anything is trained that the scores cannot be had."""
    score_of(scoring).check(scoring.settings, sources)


def compute(scoring: Scoring, ground: Ground) -> np.ndarray:
    """float64[N]: what is asked for. Raises ConfigError where it cannot be had."""
    return score_of(scoring).compute(scoring.settings, ground)


def _memorisation(settings: Mapping[str, Any], ground: Ground) -> np.ndarray:
    return memorisation.trained_scores(
        replace(ground.recipe, keep="last"),
        ground.model,
        ground.sources,
        models=settings["models"],
        share=settings["share"],
        seed=settings["seed"],
        views=_views(ground),
        loop=ground.options.get("loop", "auto"),
        progress=ground.progress,
    )


def _watched(kind: str, settings: Mapping[str, Any], ground: Ground) -> np.ndarray:
    return proxies.watched_scores(
        kind,
        ground.recipe,
        ground.model,
        ground.sources,
        step=settings.get("step", 0.1),
        key=ground.key,
        options=ground.options,
    )


def _held_out(settings: Mapping[str, Any], ground: Ground) -> np.ndarray:
    return proxies.held_out(
        ground.model,
        ground.original(),
        ground.sources,
        epochs=settings["epochs"],
        learning_rate=settings["learning_rate"],
        key=jax.random.key(ground.seed),
        options=ground.options,
    )


def _distance(settings: Mapping[str, Any], ground: Ground) -> np.ndarray:
    embedded = entanglement.embeddings(
        ground.model, ground.original(), ground.sources, view=_views(ground)["eval"]
    )
    return entanglement.distances(embedded)


def _worst_case(settings: Mapping[str, Any], ground: Ground) -> np.ndarray:
    return bilevel.search(
        ground.model,
        ground.original(),
        ground.sources,
        settings=settings,
        view=_views(ground)["eval"],
        seed=ground.seed,
        progress=ground.progress,
    )


def _views(ground: Ground) -> Mapping[str, Any]:
    views = ground.options.get("views")
    assert views is not None
    return views


def _check_subsets(settings: Mapping[str, Any], sources: Sources) -> None:
    size = sources["train"].y.shape[0]
    memorisation.drawn(size, settings["models"], settings["share"], settings["seed"])


def _check_held_out(settings: Mapping[str, Any], sources: Sources) -> None:
    proxies.validation_of(sources)


SCORES: dict[str, Score] = {
    "memorisation": Score(
        "ensemble", _memorisation, lambda s: f"{s['models']:,} networks", _check_subsets
    ),
    **{
        kind: Score("original", partial(_watched, kind), lambda s: "one training")
        for kind in proxies.WATCHED
    },
    "held_out": Score("original", _held_out, check=_check_held_out),
    "distance": Score("original", _distance),
    "worst_case": Score("original", _worst_case),
}
