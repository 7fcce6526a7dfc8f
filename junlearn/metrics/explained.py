"""`GLOSSARY.md` beside this file, read: what each metric measures, what a retrained network gets, when it lies."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGE", "Explained", "Shown", "explained"]

PAGE = Path(__file__).with_name("GLOSSARY.md")

SECTION = re.compile(r"^## `(\w+)`$\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([^`]+)` \|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)
PART = re.compile(r"^\*\*([^*]+?)\.?\*\* (.+?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
MEASURES, RETRAINED, LIES = "Measures", "A retrained network", "It lies when"


class Shown(NamedTuple):
    """A value of a metric, or one of several of its kind."""

    value: str
    columns: tuple[str, ...]
    """What tables call it; empty where they do not show it."""
    range: str
    sign: str
    """↑ or ↓ for the way that is good, ≈ where the retrained network's value is the ideal."""
    meaning: str


class Explained(NamedTuple):
    """What the page says of a metric."""

    values: tuple[Shown, ...]
    measures: str
    retrained: str
    lies: str


def explained(metric: str) -> Explained | None:
    """What the page says of `metric`; None of one that it does not have, such as somebody else's."""
    return _page().get(metric)


@cache
def _page() -> dict[str, Explained]:
    text = PAGE.read_text(encoding="utf-8")
    return {name: _entry(body) for name, body in SECTION.findall(text)}


def _entry(body: str) -> Explained:
    values = tuple(
        Shown(
            value,
            tuple(part for part in columns.strip().split("; ") if part),
            *map(str.strip, rest),
        )
        for value, columns, *rest in ROW.findall(body)
    )
    parts = {title: " ".join(text.split()) for title, text in PART.findall(body)}
    return Explained(values, parts[MEASURES], parts[RETRAINED], parts[LIES])
