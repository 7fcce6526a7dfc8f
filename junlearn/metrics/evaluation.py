"""What the metrics found, as a person reads it: a dict of numbers that shows itself."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import jax

from junlearn.display.shown import Table, figure, grid_of, page
from junlearn.text.grids import Grid
from junlearn.text.terminal import printable

__all__ = ["Evaluation"]

WIDTH = 100
"""Characters of a line."""
MOST = 8
"""Values of a family that are printed; of a longer one, such as a distance of each layer, the sums or the first."""


class Evaluation(dict[str, float]):
    """Values by name, such as `accuracy/forget_train`: a dict like any other, which prints by families of metrics.

    `intervals` holds the 95 % interval, (low, high), of those values that have one.
    """

    intervals: Mapping[str, tuple[float, float]]

    def __init__(
        self,
        values: Mapping[str, float] | None = None,
        intervals: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        super().__init__({} if values is None else values)
        self.intervals = {} if intervals is None else dict(intervals)

    def __repr__(self) -> str:
        families: dict[str, list[str]] = {}
        for name in self:
            family, _, rest = name.partition("/")
            families.setdefault(family if rest else "", []).append(name)
        lines = [f"Evaluation: {len(self)} values"]
        # Values that are a family of their own come last, on a line.
        for family, names in sorted(families.items(), key=lambda item: item[0] == ""):
            told = [self._told(name, name[len(family) :].lstrip("/")) for name in _first(names)]
            if len(told) < len(names):
                told.append(f"{len(names) - len(told)} more in .table()")
            text = f"{printable(family)}: {', '.join(told)}" if family else ", ".join(told)
            lines += textwrap.wrap(
                text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
            )
        return "\n".join(lines)

    def table(self, form: str = "text") -> Table:
        """A row a value, with its 95 % interval where there are any.

        `form`: "text", "markdown", "latex", "csv" or "html". Raises ConfigError for another one.
        """
        return Table(self._grid(), form)

    def _repr_html_(self) -> str:
        return page(f"Evaluation: {len(self)} values", self._grid())

    def _grid(self) -> Grid:
        headings, rows = ["metric", "of", "value"], []
        for name, value in self.items():
            family, _, rest = name.partition("/")
            rows.append([family, rest, figure(value)])
            if self.intervals:
                rows[-1].append(self._interval(name))
        return grid_of(headings + ["95 % interval"] * bool(self.intervals), rows, words=2)

    def _told(self, name: str, short: str) -> str:
        return f"{printable(short)} {figure(self[name])} {self._interval(name)}".rstrip()

    def _interval(self, name: str) -> str:
        if name not in self.intervals:
            return ""
        low, high = self.intervals[name]
        return f"[{low:.3g}, {high:.3g}]"


def _first(names: list[str]) -> list[str]:
    """Those that are printed."""
    if len(names) <= MOST:
        return names
    return [name for name in names if name.endswith("/total")] or names[:MOST]


def _parts(values: Evaluation) -> tuple[tuple[tuple[Any, Any], ...], tuple[str, ...]]:
    names = tuple(sorted(values))
    return tuple((jax.tree_util.DictKey(name), values[name]) for name in names), names


def _plain(names: tuple[str, ...], values: Iterable[Any]) -> Any:
    return dict(zip(names, values, strict=True))


jax.tree_util.register_pytree_with_keys(Evaluation, _parts, _plain)
"""As of a dict, JAX maps over the values; what comes of it is a plain one."""
