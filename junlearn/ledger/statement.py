"""What there is to say of a ledger: plain values, for its status, its report and programs."""

import os
from pathlib import Path
from typing import Any

from junlearn.errors import DamagedError
from junlearn.ledger import chain
from junlearn.ledger.network_archive import path_of
from junlearn.ledger.remains import in_words, remains_of
from junlearn.ledger.standing import deleted_by, standing_of
from junlearn.ledger.verification import verify

__all__ = ["facts", "status", "status_text", "text"]


def status(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Where a ledger stands; nothing but its lines is read. Raises as `chain.read` does."""
    directory = Path(directory)
    found = chain.read(directory)
    standing = standing_of(directory, found.lines)
    first, last = standing.first, found.lines[-1]
    retained = first["dataset"]["train"] - len(standing.deleted)
    return {
        "directory": str(directory),
        "lines": len(found.lines),
        "hash": found.hash,
        "began": first["time"],
        "changed": last["time"],
        "dataset": first["dataset"]["name"],
        "model": first["model"],
        "method": first["method"]["label"],
        "requests": len(standing.requests),
        "deleted": len(standing.deleted),
        "retained": retained,
        "network": standing.current,
        "file": str(path_of(directory, standing.current)),
        "exact": standing.since == 0,
        "requests_since_exact": standing.since,
        "policy": standing.policy._asdict(),
        "due": _due(standing.decided, standing.due is not None),
        "private": first["private"],
        "metrics": _metrics(found.lines, standing.current),
        "seconds": round(sum(line.get("seconds", {}).get("total", 0.0) for line in found.lines), 2),
    }


def facts(directory: str | os.PathLike[str], cache_dir: str | None = None) -> dict[str, Any]:
    """All that a report on a ledger says: where it stands, what was asked and done line by line, what is left, and
    whether everything is as it was written. Raises as `chain.read` does.
    """
    directory = Path(directory)
    found = chain.read(directory)
    standing = standing_of(directory, found.lines)
    try:
        checked: dict[str, Any] = {"fits": True, **verify(directory)}
    except DamagedError as error:
        checked = {"fits": False, "reason": str(error)}
    return {
        "status": status(directory),
        "begin": standing.first,
        "steps": [_step(line) for line in found.lines[1:]],
        "remains": in_words(remains_of(standing, cache_dir), directory),
        "verified": checked,
    }


def text(found: dict[str, Any]) -> str:
    """The facts as plain text."""
    now, first, checked = found["status"], found["begin"], found["verified"]
    data = first["dataset"]
    lines = [
        f"data: {data['name']} {data['version']}, fingerprint {data['fingerprint']}, {data['train']:,} training images",
        *_standing(now),
        "",
        *(_row(step) for step in found["steps"]),
        "",
        *(f"still there: {words}" for words in found["remains"] or ["nothing of what was deleted"]),
        f"verified: {checked['lines']} lines, {checked['networks']} networks"
        if checked["fits"]
        else f"DOES NOT FIT: {checked['reason']}",
    ]
    return "\n".join(lines) + "\n"


def status_text(now: dict[str, Any]) -> str:
    """Where a ledger stands as plain text."""
    metrics = ", ".join(f"{name} {value:.4f}" for name, value in now["metrics"].items())
    return "\n".join([*_standing(now), f"metrics: {metrics}"]) + "\n"


def _standing(now: dict[str, Any]) -> list[str]:
    due = {
        "retrain": "it retrains first",
        "decision": "the policy decides first",
        "": "nothing is due",
    }
    return [
        f"ledger {now['directory']}: {now['lines']} lines, begun {now['began']}, last changed {now['changed']}",
        f"dataset: {now['dataset']}; network: {now['model']}; method: {now['method']}",
        f"policy: {_policy(now['policy'])}; next command: {due[now['due']]}",
        f"requests: {now['requests']}, deleted: {now['deleted']:,}, retained: {now['retained']:,}",
        f"current network: {now['file']} ({_exactness(now)})",
        f"seconds of all steps: {now['seconds']:.1f}",
        f"hash of the last line: {now['hash']}",
    ]


def _step(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what only the chain needs."""
    step = {name: value for name, value in line.items() if name != "previous"}
    return step | {"names": list(deleted_by(line))} if line["kind"] == "forget" else step


def _row(step: dict[str, Any]) -> str:
    head = f"{step['number']:>4} {step['time']} {step['kind']}"
    if step["kind"] == "decision":
        return f"{head}: {'retrain' if step['retrain'] else 'go on'}, {step['because']}"
    if step["kind"] == "purge":
        return f"{head}: {len(step['networks'])} networks, {len(step['cache'])} things in the cache"
    values = {
        n.removeprefix("accuracy/"): v for n, v in step["metrics"].items() if "accuracy/" in n
    }
    accuracies = ", ".join(f"{name} {100 * value:.1f} %" for name, value in sorted(values.items()))
    spent = ", ".join(f"{part} {value:.1f}" for part, value in step["seconds"].items())
    if step["kind"] == "forget":
        twins = step["twins"]
        copies = f", {twins['count']} exact copies {'too' if twins['taken'] else 'retained'}"
        head += (
            f" {step['request']['count']:,} by {step['method']}{copies if twins['count'] else ''}"
        )
    return f"{head}: {accuracies}; seconds: {spent}"


def _policy(policy: dict[str, Any]) -> str:
    said = []
    if policy["every"] is not None:
        said.append(f"retrain after {policy['every']} requests")
    if policy["metric"] is not None:
        said.append(f"retrain when {policy['metric']} drifts by more than {policy['bound']:g}")
    return ", ".join(said) or "none"


def _exactness(now: dict[str, Any]) -> str:
    if now["exact"]:
        return "exact: it never saw what was deleted"
    since = now["requests_since_exact"]
    return f"{since} request{'' if since == 1 else 's'} since the last exact one"


def _due(decided: bool, retrain: bool) -> str:
    """What the next command does first."""
    return "retrain" if retrain else "" if decided else "decision"


def _metrics(lines: tuple[dict[str, Any], ...], current: str) -> dict[str, float]:
    """Those of the network in use."""
    made = [line for line in lines if line.get("network", {}).get("after") == current]
    return made[-1]["metrics"]
