"""The smallest ledger: a network of eight hidden units on digits, and a method of one epoch."""

import json
import shutil
from pathlib import Path

from junlearn import files, ledger
from junlearn.datasets import DATASETS
from junlearn.main import main

CONFIG = {
    "methods": ["finetune"],
    "metrics": ["accuracy"],
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"epochs": 2, "batch_size": 256},
    "method": {"finetune": {"epochs": 1, "batch_size": 256}},
}
IDS = DATASETS["digits"].make(DATASETS["digits"].Config()).sources["train"].id
"""The ids of digits by row."""


def config(place: Path, **changes) -> Path:
    """A configuration file."""
    path = place / "ledger.json"
    path.write_text(json.dumps(CONFIG | changes))
    return path


def init(place: Path, *options: str, name: str = "ledger", **changes) -> int:
    """`ledger init` in `place / name`; returns the exit status."""
    found = config(place, **changes)
    cache = ["--cache-dir", str(place / "cache")]
    return main(["ledger", "init", str(place / name), "--config", str(found), *cache, *options])


def forget(place: Path, names, *options: str, name: str = "ledger") -> int:
    """`ledger forget` of these names; returns the exit status."""
    request = place / "request.txt"
    request.write_text("\n".join(map(str, names)) + "\n")
    cache = ["--cache-dir", str(place / "cache")]
    words = ["ledger", "forget", str(place / name), "--request", str(request), *cache]
    return main([*words, *options])


def ids(*rows: int) -> list[int]:
    return [int(IDS[row]) for row in rows]


def lines(place: Path, name: str = "ledger") -> list[dict]:
    text = (place / name / "ledger.jsonl").read_text().splitlines()
    return [files.unseal(line) for line in text]


def networks(place: Path, name: str = "ledger") -> list[str]:
    """The hashes of all networks, in the order of their lines."""
    return [line["network"]["after"] for line in lines(place, name) if "network" in line]


def one_line(capsys, *parts: str) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("junlearn: "), error
    for part in parts:
        assert part in error
    return error


def refused(capsys, status: int, *parts: str) -> str:
    assert status == 2
    return one_line(capsys, *parts)


class Begun:
    """A ledger that tests copy."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def copy(self, place: Path) -> Path:
        place.mkdir(exist_ok=True)
        shutil.copytree(self.place / "ledger", place / "ledger")
        return place


def opened(place: Path, name: str = "ledger") -> ledger.Ledger:
    return ledger.open(place / name, cache_dir=str(place / "cache"))


def same_bits(one: Path, other: Path) -> None:
    """Whether two ledgers came to the same networks by the same steps."""
    kinds = [[line["kind"] for line in lines(place)] for place in (one, other)]
    assert kinds[0] == kinds[1]
    assert networks(one) == networks(other)
