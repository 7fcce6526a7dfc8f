"""The trials of a search as pictures: of each method the objective over the trials, and what each field matters."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from junlearn.reports.style import INK, MIDDLE, OKABE_ITO, caption, plain, save
from junlearn.search.findings import Found, Method, Tried

__all__ = ["picture", "write"]

BLUE, RED, GREEN = OKABE_ITO[:3]
FEW = "too few trials, or all alike,\nto tell what matters"


def write(found: Found, folder: Path) -> list[Path]:
    """One PNG a method that has a trial with a value; returns the paths."""
    paths = []
    for method in found.methods:
        if any(trial.values for trial in method.trials):
            folder.mkdir(parents=True, exist_ok=True)
            paths.append(folder / f"{method.label}.png")
            save(picture(found, method), paths[-1])
    return paths


def picture(found: Found, method: Method) -> Figure:
    """The values of all trials with the best so far, beside the importance of the fields."""
    figure = Figure(figsize=(9.0, 3.6 + 0.12 * max(0, len(method.space) - 6)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    _history(left, found, method)
    _importance(right, method)
    test = ", BY THE REAL TEST SET" if found.objective.oracle else ""
    figure.suptitle(caption(f"{method.label}: search by {found.objective.name}{test}"))
    return figure


def _history(axis: Axes, found: Found, method: Method) -> None:
    plain(axis)
    finished = [t for t in method.trials if t.state == "finished"]
    pruned = [t for t in method.trials if t.state == "pruned"]
    failed = [t for t in method.trials if t.state == "failed"]
    handles = []
    if finished:
        errors = [t.spread or 0.0 for t in finished]
        numbers, values = [t.number for t in finished], [t.value for t in finished]
        axis.errorbar(
            *(numbers, values),
            yerr=errors if any(errors) else None,
            fmt="o",
            ms=5,
            color=BLUE,
            elinewidth=0.8,
        )
        (mark,) = axis.plot([], [], "o", ms=5, color=BLUE, label="finished")
        (line,) = axis.step(
            *_best_so_far(method, finished), where="post", color=INK, lw=1.2, label="best so far"
        )
        best = method.best
        assert best is not None
        (star,) = axis.plot(
            *(best.number, best.value), "*", ms=14, color=GREEN, mec=INK, mew=0.6, zorder=3
        )
        star.set_label(f"best, {best.value:.4g}")
        handles += [mark, line, star]
    if pruned:
        (mark,) = axis.plot(
            *([t.number for t in pruned], [t.value for t in pruned]),
            *("^",),
            ms=6,
            mfc="none",
            mec=MIDDLE,
            label="pruned, mean so far",
        )
        handles.append(mark)
    if failed:
        # They have no value: they stand at the edge of the axes.
        (mark,) = axis.plot(
            *([t.number for t in failed], [0.03] * len(failed)),
            *("x",),
            ms=6,
            color=RED,
            label="failed, no value",
            transform=axis.get_xaxis_transform(),
        )
        handles.append(mark)
    axis.set_xlim(0.5, max(t.number for t in method.trials) + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    axis.set_xlabel("trial")
    arrow = "higher" if found.objective.better == "max" else "lower"
    many = len(found.seeds) > 1
    spread = ",\nbars: standard deviation over seeds" if many else ""
    name = caption(found.objective.name)
    axis.set_ylabel(f"{name} ({arrow} is better){spread}", fontsize="small")
    axis.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        fontsize="x-small",
        frameon=False,
        columnspacing=1.0,
        handletextpad=0.3,
    )


def _best_so_far(method: Method, finished: list[Tried]) -> tuple[list[float], list[float]]:
    """Steps up to the last trial."""
    choose = max if method.better == "max" else min
    numbers: list[float] = [t.number for t in finished]
    values: list[float] = []
    for trial in finished:
        values.append(choose([*values[-1:], trial.value]))
    last = max(t.number for t in method.trials)
    return [*numbers, last + 0.5], [*values, values[-1]]


def _importance(axis: Axes, method: Method) -> None:
    plain(axis)
    shares = sorted(method.importance.items(), key=lambda item: item[1])
    axis.set_title("importance of the fields", fontsize="small")
    if not shares:
        axis.text(0.5, 0.5, FEW, ha="center", va="center", transform=axis.transAxes, color=MIDDLE)
        axis.set_axis_off()
        return
    names = [caption(name) for name, _ in shares]
    bars = axis.barh(names, [share for _, share in shares], color=BLUE, height=0.6)
    axis.bar_label(bars, [f"{share:.2f}" for _, share in shares], padding=3, fontsize="small")
    axis.set_xlim(0, 1.15)
    axis.set_xlabel("share of the variation (fANOVA)", fontsize="small")
    axis.grid(visible=False, axis="y")
