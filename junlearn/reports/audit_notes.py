"""What is said of an audit beside its numbers: verdicts, nulls, power, what diverged, and remarks, each once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from junlearn.reports.audit_cells import Row, cell, label, networks, tone
from junlearn.reports.audit_columns import columns, name, nulls

__all__ = [
    "SETS",
    "null_lines",
    "power_lines",
    "remark_lines",
    "title",
    "verdict_entry",
    "verdict_lines",
    "worst_lines",
]

SETS = ("forget", "retain", "test")
"""What a verdict is about: the first is the request, the others are what must stay useful."""

WORDS = {
    "told": ("≠", "can be told from retraining"),
    "alike": ("≈", "not told from retraining"),
    "closer": ("!", "closer than retraining is to itself"),
    "none": ("?", "no verdict"),
}
"""A sign and words for each kind of verdict."""


def title(row: Row) -> str:
    """Which data, network and request the row is of."""
    parts = f"{row['dataset']}, {row['model']}, scenario {row['scenario']}, seed {row['seed']}"
    return f"{parts}, design {row['design']}"


def null_lines(rows: Sequence[Row]) -> list[str]:
    """What a perfect unlearner scores with as many networks: a line for all rows, and lines for rows that differ."""
    lines = []
    for who, texts in _shared([(row, nulls(row)) for row in rows]):
        pooled = {null["source"] for row in who for null in row["null"].values()} == {"pooled"}
        head = f"null{' (pooled)' if pooled else ''}{_whose(who, rows)}, {_sizes(who)}"
        lines.append(f"{head}: {'; '.join(texts)}")
    return lines


def power_lines(rows: Sequence[Row]) -> list[str]:
    """The smallest shifts of all margins that the tests of these networks would have seen."""
    said = []
    for row in rows:
        found = row.get("detectable", {})
        texts = {
            metric: f"{value:.2f} sd by {name(row, metric)}" for metric, value in found.items()
        }
        said.append((row, texts))
    return [
        f"seen with probability 0.8{_whose(who, rows)}, {_sizes(who)}: a shift of the margins of {', '.join(texts)}"
        for who, texts in _shared(said)
    ]


def verdict_lines(rows: Sequence[Row], sets: Sequence[str] = SETS) -> list[str]:
    """What the tests say: of the forget set a line for each row, of the other sets a line for each different answer."""
    lines = []
    for part in sets:
        said = [(row, row["verdict"][part]) for row in rows if part in row.get("verdict", {})]
        if part == "forget":
            lines += [f"{label(row)}: {verdict}" for row, verdict in said]
            continue
        for verdict in dict.fromkeys(verdict for _, verdict in said):
            who = [row for row, own in said if own == verdict]
            lines.append(
                f"{part} ({'all' if len(who) == len(rows) > 1 else _names(who)}): {verdict}"
            )
    return lines


def verdict_entry(row: Row) -> dict[str, str]:
    """The verdict of a row on the forget set as an entry of a list: a sign and words for its kind, and what it says."""
    said = row.get("verdict", {}).get("forget", "")
    kind = tone(said)
    sign, words = WORDS[kind]
    return {
        "label": label(row),
        "role": row["role"],
        "kind": kind,
        "sign": sign,
        "words": words,
        "forget": said,
    }


def worst_lines(rows: Sequence[Row]) -> list[str]:
    """For rows with networks that diverged: how many, and what differs when these count as the worst."""
    lines = []
    for row in rows:
        counts = {kind: n for kind, n in row.get("diverged", {}).items() if n}
        if not counts:
            continue
        said = ", ".join(f"{n} of {row['models'][kind] + n} {kind}" for kind, n in counts.items())
        lines.append(f"{label(row)}: diverged and left out: {said}{_counted(row)}")
    return lines


def remark_lines(rows: Sequence[Row]) -> list[str]:
    """Every remark once, with the rows that it is of if it is not of all."""
    said = [(row, dict.fromkeys(row.get("remarks", ()))) for row in rows]
    remarks = dict.fromkeys(remark for _, own in said for remark in own)
    lines = []
    for remark in remarks:
        who = [row for row, own in said if remark in own]
        lines.append(remark if len(who) == len(rows) else f"{remark} ({_names(who)})")
    return lines


def _counted(row: Row) -> str:
    worst: Mapping[str, Any] = row.get("worst", {})
    other = {
        **row,
        **{part: {**row.get(part, {}), **worst.get(part, {})} for part in ("values", "p")},
    }
    pairs = [(c.heading, cell(row, c), cell(other, c)) for c in columns(row)]
    changed = [f"{heading} {after.text}" for heading, before, after in pairs if before != after]
    return f"; counting them as worst: {', '.join(changed)}" if changed else ""


def _shared(said: Sequence[tuple[Row, Mapping[str, str]]]) -> list[tuple[list[Row], list[str]]]:
    """Texts by metric: first those in which all rows that have the metric agree, then the others, row by row."""
    versions: dict[str, set[str]] = {}
    for _, texts in said:
        for metric, text in texts.items():
            versions.setdefault(metric, set()).add(text)
    common = {metric: next(iter(v)) for metric, v in versions.items() if len(v) == 1}
    parts = []
    if common:
        parts.append(([row for row, texts in said if common.keys() & texts], list(common.values())))
    for row, texts in said:
        own = [text for metric, text in texts.items() if metric not in common]
        if own:
            parts.append(([row], own))
    return parts


def _sizes(rows: Sequence[Row]) -> str:
    unit = "runs" if rows[0]["design"] == "random" else "N"
    numbers = sorted({n for row in rows if (n := networks(row)) is not None})
    return f"{unit} = {', '.join(map(str, numbers)) or '?'}"


def _whose(who: Sequence[Row], rows: Sequence[Row]) -> str:
    """Nothing, where it is of all rows that could have it."""
    return f" of {_names(who)}" if len(who) == 1 < len(rows) else ""


def _names(rows: Iterable[Row]) -> str:
    return ", ".join(map(label, rows))
