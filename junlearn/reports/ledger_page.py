"""A report on a ledger of deletion requests, as a page or in Markdown: from its facts, plain values, and nothing else.

The facts are `status` (where it stands), `begin` (its first line), `steps` (the other lines), `remains` (where deleted
images are still, in words) and `verified` (whether everything is as it was written).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from junlearn.reports.columns import ACCURACIES
from junlearn.reports.page import environment, rendered
from junlearn.reports.page.configuration import toml
from junlearn.reports.page.drawings import Picture
from junlearn.reports.run_page import LIMIT, escaped
from junlearn.reports.run_page.meanings import direction, meaning
from junlearn.reports.style import OKABE_ITO, plain

__all__ = ["card", "page"]

Facts = Mapping[str, Any]

NAMED = 200
"""Names of deleted examples that are listed of a request; how many more there are is said."""
MARKERS = ("o", "s", "^", "D", "v", "P")


def page(facts: Facts, *, names: bool = True, key: str = "") -> str:
    """The report as a page of HTML that loads nothing.

    `names`: what was deleted is named, as the ledger names it; `key`: fingerprint of the key that signs the report.
    """
    return rendered("ledger.html", _body(facts, names, key), lambda: _pictures(facts), LIMIT)


def card(facts: Facts, *, names: bool = True, key: str = "") -> str:
    """The report in Markdown, without pictures."""
    template = environment(autoescape=False, mark=escaped).get_template("ledger.md")
    return template.render(_body(facts, names, key))


def _body(facts: Facts, names: bool, key: str) -> dict[str, Any]:
    status, first = facts["status"], facts["begin"]
    lines = [first, *facts["steps"]]
    values = dict.fromkeys(name for line in lines for name in line.get("metrics", {}))
    shown = [c for c in ACCURACIES if c.metric in values]
    return {
        "title": f"{status['dataset']}, {status['model']}, {_counted(status['requests'], 'request')}",
        "fits": facts["verified"]["fits"],
        "verdict": _verdict(facts["verified"]),
        "standing": _standing(status, first),
        "requests": [_request(step, names) for step in facts["steps"] if step["kind"] == "forget"],
        "names": names,
        "heads": [(column.heading, *direction(column.metric)) for column in shown],
        "lines": [
            {
                "number": line["number"],
                "what": _what(line),
                "time": line["time"],
                "cells": [_percent(line, column.metric) for column in shown],
                "seconds": ", ".join(
                    f"{part} {value:.2f}" for part, value in line.get("seconds", {}).items()
                ),
                "network": line.get("network", {}).get("after", ""),
            }
            for line in lines
        ],
        "values": [
            (name, *direction(name), meaning(name), f"{value:.4g}")
            for name, value in status["metrics"].items()
        ],
        "remains": facts["remains"],
        "settings": toml(first["method"]).strip(),
        "facts": list(_provenance(lines, status, key)),
        "command": f"python -m junlearn.main ledger verify {status['directory']}",
    }


def _verdict(checked: Facts) -> str:
    if not checked["fits"]:
        return f"It is not as it was written: {checked['reason']}"
    return (
        f"{checked['lines']:,} lines, each with the hash of the one before, and {checked['networks']:,} networks are "
        "as they were written."
    )


def _standing(status: Facts, first: Facts) -> list[tuple[str, str]]:
    since = status["requests_since_exact"]
    exact = "none: it never saw what was deleted" if status["exact"] else f"{since:,}"
    policy = ", ".join(f"{k} = {v}" for k, v in status["policy"].items() if v is not None)
    return [
        ("Begun", status["began"]),
        ("Last changed", status["changed"]),
        ("Data", f"{first['dataset']['name']} {first['dataset']['version']}"),
        ("Fingerprint of the data", first["dataset"]["fingerprint"]),
        ("Requests", f"{status['requests']:,}"),
        ("Deleted examples", f"{status['deleted']:,}"),
        ("Retained examples", f"{status['retained']:,}"),
        ("Method", status["method"]),
        ("Policy", policy or "none: it never retrains by itself"),
        ("Requests since an exact network", exact),
        ("Network in use", status["network"]),
        ("Seconds of all steps", f"{status['seconds']:.1f}"),
    ]


def _request(step: Facts, names: bool) -> dict[str, Any]:
    asked, twins = step["request"], step["twins"]
    told = list(map(str, step.get("names", ()))) if names else []
    more = f" and {len(told) - NAMED:,} more, all in ledger.jsonl" if len(told) > NAMED else ""
    notes = []
    if asked.get("skipped"):
        notes.append(f"{len(asked['skipped']):,} deleted before and skipped")
    if twins["count"]:
        fate = "deleted with them" if twins["taken"] else "retained"
        notes.append(f"{_counted(twins['count'], 'exact copy', 'exact copies')} {fate}")
    return {
        "number": step["number"],
        "time": step["time"],
        "count": _counted(asked["count"], "example"),
        "by": "salted hashes" if asked.get("private") else f"by {asked['by']}",
        "names": ", ".join(told[:NAMED]) + more,
        "notes": "; ".join(notes),
    }


def _what(line: Facts) -> str:
    """What a line is about, in words."""
    match line["kind"]:
        case "init":
            return "the ledger begins"
        case "forget":
            return f"{_counted(line['request']['count'], 'example')} deleted by {line['method']}"
        case "decision":
            return f"{'retrain' if line['retrain'] else 'go on'}: {line['because']}"
        case "purge":
            networks, caches = len(line["networks"]), len(line["cache"])
            return f"{_counted(networks, 'network')} and {_counted(caches, 'cache')} removed"
        case kind:
            return str(kind)


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def _percent(line: Facts, metric: str) -> str:
    value = line.get("metrics", {}).get(metric)
    return "-" if value is None else f"{100 * value:.2f}"


def _provenance(lines: Sequence[Facts], status: Facts, key: str) -> Iterator[tuple[str, str]]:
    """Hashes, versions and devices: each different one once."""
    yield "Hash of the last line", status["hash"]
    found: dict[str, dict[str, None]] = {}
    for line in lines:
        told = {"Device": line.get("device"), "Hash of the configuration": line.get("config")}
        for name, value in {**told, **line.get("versions", {})}.items():
            if value is not None:
                found.setdefault(name, {})[str(value)] = None
    yield from ((name, ", ".join(texts)) for name, texts in found.items())
    if key:
        yield "Signed with the key", key


def _pictures(facts: Facts) -> Iterator[Picture]:
    """Accuracies along the lines that have some."""
    lines = [line for line in (facts["begin"], *facts["steps"]) if line.get("metrics")]
    shown = [c for c in ACCURACIES if any(c.metric in line["metrics"] for line in lines)]
    if len(lines) < 2 or not shown:
        return
    figure = Figure(figsize=(4.4, 3.2), layout="constrained")
    axis = figure.subplots()
    plain(axis)
    for place, column in enumerate(shown):
        has = [line for line in lines if column.metric in line["metrics"]]
        x = [line["number"] for line in has]
        y = [100 * line["metrics"][column.metric] for line in has]
        color, marker = OKABE_ITO[place % len(OKABE_ITO)], MARKERS[place % len(MARKERS)]
        axis.plot(x, y, marker=marker, color=color, label=column.heading, lw=1, ms=4)
    axis.set_xlabel("line of the ledger")
    axis.set_ylabel("accuracy in %")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper center", ncols=3, fontsize="small", frameon=False)
    text = "Accuracy of the network in use after each step; forget: on what that request deleted."
    yield Picture("accuracies", "From request to request", text, figure)
