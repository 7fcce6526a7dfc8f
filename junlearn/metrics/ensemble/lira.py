"""LiRA: was an example in a network's training set, judged by networks that did and did not have it?

Carlini et al., "Membership Inference Attacks From First Principles", 2022. Margins phi (`signals.margins`) of S runs on
n examples, and which example each run was trained with. The fit of an example:

    online   s = log N(phi; m_in, v_in) - log N(phi; m_out, v_out)
    offline  s = log Phi((phi - m_out) / sd_out)

Locations are medians, standard deviations have n - 1, floored at 1e-6 max(1, pooled sd). `variance` "own": of the
example alone; "fixed": the root of the mean over examples and kinds of the within-example variances; "auto": fixed
where a fit has fewer than 32 runs of a kind. The offline attack has the networks without the example alone, for its
variance too. Members score high. Several augmentations are scored apart, and their scores averaged.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Literal

import numpy as np

from junlearn.errors import ConfigError
from junlearn.metrics.context import Floats
from junlearn.metrics.ensemble import given
from junlearn.metrics.ensemble.fits import VARIANCES, Game, Variance, blocks_of, held_out, judged_by

__all__ = [
    "Attack",
    "lira",
    "lira_held_out",
    "lira_offline",
    "lira_relabelled",
    "lira_released",
]

Attack = Literal["online", "offline"]
ATTACKS = ("online", "offline")

BATCH = 1 << 20
"""Margins that are judged at once, over all labellings."""


def lira(
    phi: Any,
    included: Any,
    target: Any,
    *,
    attack: Attack = "online",
    variance: Variance = "auto",
    least: int = 2,
) -> Floats:
    """float64[n]: the scores of one target network, which must not be among the S runs.

    `phi` float[S, n], or [S, n, A] of A augmentations; `included` bool[S, n]; `target` float[n] or [n, A]. For one
    unlearned network, `included` is False throughout, the runs are retrained ones, and the attack "offline". `least`:
    fewest runs of a kind in a fit. Raises ConfigError for shapes that do not fit, numbers that are not finite, and too
    few runs.
    """
    game = _game(attack, variance, least)
    margins, ins = _runs(phi, included, "lira")
    aimed = _augmented(target, "lira: target", ("examples",), margins.shape[1:])
    scores = [
        judged_by(margins[..., a], ins[None], ~ins[None], aimed[None, :, a], game)[0, 0]
        for a in range(margins.shape[2])
    ]
    return np.mean(scores, axis=0)


def lira_offline(
    references: Any, targets: Any, *, variance: Variance = "auto", least: int = 2
) -> Floats:
    """float64[T, n]: the offline scores of many target networks float[T, n] by one fit to `references` float[R, n].

    The references never had an example: retrained networks, of which none may be a target. Errors as of `lira`.
    """
    margins, none = _runs(references, np.zeros(np.shape(references), bool), "lira_offline")
    aimed = given.numbers(targets, "lira_offline: targets", ("networks", "examples"))
    if aimed.shape[1] != margins.shape[1]:
        counts = f"{margins.shape[1]} and {aimed.shape[1]}"
        raise ConfigError(f"lira_offline: references and targets have {counts} examples")
    game = _game("offline", variance, least)
    return judged_by(margins[..., 0], none[None], ~none[None], aimed, game)[0]


def lira_held_out(
    phi: Any,
    included: Any,
    block: Any,
    *,
    attack: Attack = "online",
    variance: Variance = "auto",
    least: int = 2,
) -> Floats:
    """float64[S, n]: the scores of every run in turn, the runs of its own block left out of the fit.

    `block` int[S]; the rest as of `lira`. Raises ConfigError for a single block too: in-sample scores tell members from
    non-members where there is nothing to tell.
    """
    return next(
        lira_relabelled(phi, [included], block, attack=attack, variance=variance, least=least)
    )


def lira_relabelled(
    phi: Any,
    labellings: Iterable[Any],
    block: Any,
    *,
    attack: Attack = "online",
    variance: Variance = "auto",
    least: int = 2,
) -> Iterator[Floats]:
    """The scores of `lira_held_out` under each of many labellings `included` bool[S, n], refitted for each.

    The null of the attack, with labellings from `ulira.permuted_coins`. One batch of them is in memory at a time.
    """
    game = _game(attack, variance, least)
    margins = _augmented(phi, "lira: phi", ("runs", "examples"))
    shape = margins.shape[:2]
    blocks = blocks_of(given.whole(block, "lira: block", shape[:1]), "lira")
    coming = (given.flags(labels, "lira: included", shape) for labels in labellings)
    step = max(1, BATCH // (shape[0] * shape[1]))
    while batch := list(islice(coming, step)):
        ins = np.stack(batch)
        total = np.zeros(ins.shape)
        for a in range(margins.shape[2]):
            total += held_out(margins[..., a], ins, ~ins, blocks, game)
        yield from total / margins.shape[2]


def lira_released(
    phi: Any, included: Any, target: Any, *, attack: Attack = "online", fixed: bool = False
) -> Floats:
    """float64[n]: the score of the released code, to compare with published numbers. **Low: member.**

    Online: log N(phi; out) - log N(phi; in). Offline: log N(phi; out), which is two-sided: an example answered
    unusually badly counts as a member too. Deviations have divisor n. With `fixed`, one deviation over all values of
    the in (online) or out array (offline) serves both sides, the spread between examples included. Shapes and errors
    as of `lira`.
    """
    _game(attack, "own", 1)
    margins, ins = _runs(phi, included, "lira_released")
    aimed = _augmented(target, "lira_released: target", ("examples",), margins.shape[1:])
    kinds = {"in": ins, "out": ~ins} if attack == "online" else {"out": ~ins}
    values = {kind: np.where(where[..., None], margins, np.nan) for kind, where in kinds.items()}
    for kind, where in kinds.items():
        if not where.any(axis=0).all():
            example = int((~where.any(axis=0)).argmax())
            raise ConfigError(f"audit: lira: example {example} has 0 {kind} runs in a fit")
    common = np.nanstd(values["in" if attack == "online" else "out"])
    logs = {}
    for kind, table in values.items():
        deviation = np.nanstd(table, axis=0) if not fixed else common
        # The guard of the release.
        scale = deviation + 1e-30
        logs[kind] = -0.5 * ((aimed - np.nanmedian(table, axis=0)) / scale) ** 2 - np.log(
            np.sqrt(2 * np.pi) * scale
        )
    return (logs["out"] - logs.get("in", 0.0)).mean(axis=1)


def _game(attack: Attack, variance: Variance, least: int) -> Game:
    given.one_of(attack, "lira: attack", ATTACKS)
    given.one_of(variance, "lira: variance", VARIANCES)
    # One run has no deviation.
    return Game("lira", ("in", "out"), "median", variance, max(least, 2), attack == "offline")


def _runs(phi: Any, included: Any, name: str) -> tuple[Floats, np.ndarray]:
    margins = _augmented(phi, f"{name}: phi", ("runs", "examples"))
    return margins, given.flags(included, f"{name}: included", margins.shape[:2])


def _augmented(
    value: Any, where: str, axes: tuple[str, ...], shape: tuple[int, ...] | None = None
) -> Floats:
    """The numbers with a last axis of augmentations, of length 1 if there is none."""
    several = len(given.shape_of(value, where)) == len(axes) + 1
    array = given.numbers(value, where, (*axes, "augmentations") if several else axes)
    array = array if several else array[..., None]
    if shape is not None and array.shape != shape:
        raise ConfigError(
            f"{where} must be of shape {list(shape)} like a run, not {list(array.shape)}"
        )
    return array
