"""The columns of a comparison: those that are usual, and those that somebody named."""

import fnmatch
from collections.abc import Collection, Sequence

from junlearn.comparison.scores import GAP, SECONDS, TESTED, WHOLE
from junlearn.errors import ConfigError, short, unknown
from junlearn.reports.columns import (
    ACCURACIES,
    FORGETTING,
    MANIPULATED,
    Column,
    first_columns,
    foreign_columns,
)

__all__ = ["chosen", "usual"]

OWN = (Column(GAP, "gap", 100, 2), Column(SECONDS, "seconds", digits=1))
KNOWN = {column.metric: column for column in (*MANIPULATED, *ACCURACIES, *FORGETTING, *OWN)}
SHORT = {"mia": "mia/entropy", "asr": "asr/laf", "agreement": "agreement/forget_train"}
"""What several columns could be meant by: the one that is the usual."""
PERCENT = ("accuracy/", "corrective/")


def usual(present: Collection[str], asked: Collection[str], gap: bool) -> tuple[Column, ...]:
    """What a run's table shows, of records with the metrics `present`; with the mean gap where there is one.

    Where whole classes are forgotten the accuracy on the test set counts their examples too, so that the more of it is
    not the better: its two parts are shown alone.

    `asked` are the metrics that the runs were to compute, those of plug-ins among them.
    """
    classic = tuple(column for column in FORGETTING if column.metric in present)
    others = (*classic, *foreign_columns(asked, present))
    told_apart = set(TESTED) <= set(present)
    first = [c for c in first_columns(present) if not (told_apart and c.metric in WHOLE)]
    return (*first, *others, *(OWN if gap else OWN[1:]))


def chosen(names: Sequence[str], present: Collection[str], gap: bool) -> tuple[Column, ...]:
    """The columns that `names` mean: metrics, their headings, `seconds`, `gap`, and patterns such as `accuracy/*`.

    Raises ConfigError for a name that no record has, with the nearest.
    """
    there = [*present, *(column.metric for column in (OWN if gap else OWN[1:]))]
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(_meant(name, there))
    return tuple(KNOWN.get(metric) or _plain(metric) for metric in found)


def _meant(name: str, there: Sequence[str]) -> list[str]:
    word = name.strip()
    if any(sign in word for sign in "*?["):
        if matching := fnmatch.filter(there, word):
            return matching
        raise ConfigError(f"no column matches {short(word)}; there are {', '.join(there)}")
    if word in there:
        return [word]
    by_word: dict[str, str] = {}
    for metric in there:
        column = KNOWN.get(metric)
        own = [metric.rpartition("/")[2], *([column.heading] if column else [])]
        for spelling in own:
            by_word.setdefault(_folded(spelling), metric)
    for spelling, metric in SHORT.items():
        if metric in there:
            by_word[spelling] = metric
    if _folded(word) in by_word:
        return [by_word[_folded(word)]]
    raise unknown("column", name, [*there, *by_word])


def _folded(text: str) -> str:
    return text.lower().replace("_", " ").strip(". ")


def _plain(metric: str) -> Column:
    """A metric that no table shows by itself."""
    if metric.startswith(PERCENT):
        return Column(metric, metric.partition("/")[2].replace("_", " "), 100, 2)
    return Column(metric, metric)
