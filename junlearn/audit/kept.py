"""The lines and arrays of an audit in the directory of a run: found there, or made and kept there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from junlearn.audit import audit_log
from junlearn.audit.audit_log import Row
from junlearn.audit.bank import Bank
from junlearn.audit.lines import Role
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Fresh, Provenance, differences
from junlearn.files import replacing

__all__ = ["Judged", "Kept"]

Judged = tuple[Row, Mapping[str, np.ndarray]]
"""A line, and the arrays beside it."""


class Kept:
    """The lines and arrays in the directory of a run."""

    def __init__(self, workdir: Path, fresh: Fresh, reporter: Reporter) -> None:
        self.workdir, self.fresh, self.say = workdir, fresh, reporter.say
        self.log = workdir / "audit.jsonl"
        self.rows = {_name(row): row for row in audit_log.repair(self.log, self.say)}
        self.found: set[tuple[str, str, str]] = set()

    def find(self, config_hash: str, role: Role, label: str) -> Judged | None:
        """What is there already, unless it is to be made anew."""
        row = self.rows.get((config_hash, role, label))
        if row is None or self.fresh == "all":
            return None
        if self.fresh == "changed" and differences(cast(Provenance, row), row.get("code", {})):
            return None
        path = self.workdir / row.get("examples_file", "")
        arrays: dict[str, np.ndarray] = {}
        if "examples_file" in row:
            try:
                with np.load(path, allow_pickle=False) as archive:
                    arrays = dict(archive)
            except Exception as error:  # a damaged archive can make any layer of the reading fail
                self.say(f"audit: {path} cannot be read ({error}): it is made again")
                return None
        self.found.add(_name(row))
        return row, arrays

    def tell_other(self, bank: Bank) -> None:
        """Say in what the bank of this audit, if it is new, differs from that of the last one here."""
        if bank.directory.exists() or not self.rows:
            return
        last = list(self.rows.values())[-1]["bank_hash"]
        path = bank.directory.with_name(last) / "bank.json"
        if last == bank.hash or not path.is_file():
            return
        try:
            other = dict(json.loads(path.read_bytes())["identity"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        if other.get("bank") != bank.identity["bank"]:  # Of the other design, which is no recipe.
            return
        # As it is read, where a tuple is a list.
        names = sorted(_differing(other, json.loads(json.dumps(bank.identity))))
        self.say(
            f"audit: bank {last[:4]} has another recipe ({', '.join(names) or 'of another form'}); making a new one"
        )

    def add(self, row: Row, arrays: Mapping[str, np.ndarray]) -> Judged:
        """Keep what is new: the arrays first, then the line that names them."""
        if _name(row) in self.found:
            return row, arrays
        if arrays:
            name = f"audit/{row['method']}-{row['config_hash']}.npz"
            (self.workdir / "audit").mkdir(parents=True, exist_ok=True)
            with replacing(self.workdir / name) as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            row = {**row, "examples_file": name}
        return audit_log.append(self.log, row, self.say), arrays


def _name(row: Row) -> tuple[str, str, str]:
    return row["config_hash"], row["role"], row["method"]


def _differing(one: Any, two: Any, where: str = "") -> Iterator[str]:
    """Names of what differs between two identities, with dots."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        for name in {*one, *two}:
            place = f"{where}.{name}" if where else str(name)
            yield from _differing(one.get(name), two.get(name), place)
    elif one != two:
        yield where
