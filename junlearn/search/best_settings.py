"""The best settings as a configuration: what the search began from, with a summary of the search at its head."""

from collections.abc import Mapping
from typing import Any

from junlearn.experiment.provenance import device, versions
from junlearn.search.findings import Found, Method
from junlearn.search.trials import settings_in

__all__ = ["best_table", "best_text", "summary_lines"]

WIDTH = 118


def best_table(table: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """The configuration with the best settings of every method that has some; `held_out` is what it was."""
    chosen = {name: value for name, value in table.items() if name != "search"}
    sections = {label: dict(section) for label, section in table.get("method", {}).items()}
    for method in found.methods:
        if method.best is not None:
            sections[method.label] = settings_in(
                sections.get(method.label, {}), method.best.settings
            )
    return chosen | ({"method": sections} if sections else {})


def best_text(table: Mapping[str, Any], found: Found, command: str, name: str) -> str:
    """The same as TOML, under comments that say how it was found; `name` is what the file will be called."""
    import tomlkit

    head = [
        "Settings that a search found. This runs them, and judges them by the test set, which it did not read:"
        if not found.objective.oracle
        else "Settings that a search found BY THE REAL TEST SET (oracle): results on it are no evidence.",
        "",
        f"    python -m junlearn.main --config {name}",
        "",
        f"Found by: {command}",
        *summary_lines(found),
        f"Device {device()}; " + ", ".join(f"{n} {v}" for n, v in _shown().items()) + ".",
    ]
    lines = [f"# {line}".rstrip() for text in head for line in _wrapped(text)]
    table = _ordered(best_table(table, found))
    return "\n".join(lines) + "\n\n" + tomlkit.dumps(table)


def summary_lines(found: Found) -> list[str]:
    """What was searched, by what, and what came of it, line by line."""
    objective = found.objective
    seeds = ", ".join(map(str, found.seeds))
    lines = [
        f"Objective: {objective.name}, {objective.meaning}.",
        f"It reads {objective.reads}"
        + (". " if objective.oracle else "; never the test set. ")
        + f"Seeds of each trial: {seeds}.",
        "The best of many trials is better there than it will be elsewhere.",
    ]
    for method in found.methods:
        lines.append(_of(method, found.wanted))
    return lines


def _of(method: Method, wanted: int) -> str:
    counts = [f"{method.count('finished')} finished"]
    for state in ("pruned", "failed", "running"):
        if count := method.count(state):
            counts.append(f"{count} {state}")
    trials = (
        f"{len(method.trials)} of {wanted} trials ({', '.join(counts)}), {method.seconds:.0f} s"
    )
    best = method.best
    if best is None:
        return f"{method.label}: no trial finished, the settings are those of before; {trials}."
    spread = "" if best.spread is None else f" ± {best.spread:.4f} over the seeds"
    return f"{method.label}: {best.value:.4f}{spread}, trial {best.number}; {trials}."


def _shown() -> dict[str, str]:
    import optuna

    known = versions()
    names = ("python", "junlearn", "jax", "flax", "optax", "numpy")
    return {name: known[name] for name in names} | {"optuna": optuna.__version__}


def _wrapped(text: str) -> list[str]:
    import textwrap

    if not text or text.startswith(" "):
        return [text]
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _ordered(table: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None, which TOML cannot say, and tables behind all other values."""
    kept = {
        name: _ordered(value) if isinstance(value, Mapping) else value
        for name, value in table.items()
        if value is not None
    }
    return dict(sorted(kept.items(), key=lambda item: isinstance(item[1], Mapping)))
