"""What the cache directory holds, of which data it is made, and its removal: forgetting does not stop at the row.

datasets/NAME-VERSION-IDENTITY.npz    decoded images
models/HASH/                          a finished original or retrained network
banks/HASH/                           the networks of an audit (`junlearn.audit.bank`), a file each
scores/HASH/                          a number for each training example (`junlearn.experiment.scoring`)
compiled/                             compiled programs, which hold no data
"""

import json
import re
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from junlearn import files
from junlearn.datasets.cache import dataset_cache_dir, fingerprint, read_meta
from junlearn.engine import compilations, snapshots
from junlearn.errors import CheckpointError, ConfigError, DataError
from junlearn.experiment.locks import exclusive
from junlearn.parts import example_scores

__all__ = ["Entry", "copies", "describe", "entries", "is_of", "remove"]

NETWORK = re.compile(r"[0-9a-f]{8,64}")
FIELDS = ("dataset", "fingerprint", "role")
"""What a network's `made.json` may say of its data."""
ARCHIVE = re.compile(r"(?P<name>.+)-[^-]+-[0-9a-f]{16}\.npz(\.damaged(-\d+)?)?", re.DOTALL)
BANK_FILE = re.compile(
    r"((original|retrain|twin|run)-\d{5}\.npz|unlearned/[^/]+/\d{5}\.npz|made\.jsonl|"
    r"(unlearned/[^/]+/)?(\.lock|bank\.json))(\.damaged(-\d+)?)?|"
    r"(.*/)?" + files.TEMPORARY.pattern,
    re.DOTALL,
)
SCORES = "scores.npz"
"""The file with the numbers."""
SCORES_FILE = re.compile(
    r"(scores\.npz|\.lock)(\.damaged(-\d+)?)?|" + files.TEMPORARY.pattern, re.DOTALL
)
PROGRAM = re.compile(r".+-(cache|atime)(\.damaged(-\d+)?)?", re.DOTALL)


class Entry(NamedTuple):
    """One thing in the cache."""

    kind: str
    """dataset, network, bank, scores or compiled."""
    path: Path
    bytes: int
    changed: float
    """When it was written last, in seconds since 1970."""
    dataset: str = ""
    """Name of the dataset; empty where it is not known."""
    fingerprint: str = ""
    """Hash of all its arrays; empty where it is not known."""
    role: str = ""
    """original or retrain, of a network that says so; of a bank original, request or run; of scores what they are."""


def entries(cache_dir: str | None = None) -> list[Entry]:
    """All that the project keeps in the cache directory."""
    root = dataset_cache_dir(cache_dir).parent
    found = [
        _archive(path)
        for path in _listed(root / "datasets")
        if ARCHIVE.fullmatch(path.name) and path.is_file()
    ]
    for path in _listed(root / "models"):
        if NETWORK.fullmatch(path.name) and path.is_dir():
            found.append(_measured(Entry("network", path, 0, 0.0, **describe(path))))
    for path in _listed(root / "banks"):
        if NETWORK.fullmatch(path.name) and path.is_dir():
            found.append(_measured(Entry("bank", path, 0, 0.0, **describe(path, "bank.json"))))
    for path in _listed(root / "scores"):
        if NETWORK.fullmatch(path.name) and path.is_dir():
            found.append(_measured(Entry("scores", path, 0, 0.0, **_about_scores(path))))
    if (root / "compiled").is_dir():
        found.append(_measured(Entry("compiled", root / "compiled", 0, 0.0)))
    return found


def describe(directory: Path, note: str = "made.json") -> dict[str, str]:
    """What a network, or a bank, says of its data: `dataset`, `fingerprint` and `role`, empty where it does not."""
    content: Any = None
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads((directory / note).read_bytes())
    values = {name: content.get(name) if isinstance(content, dict) else None for name in FIELDS}
    return {name: value if isinstance(value, str) else "" for name, value in values.items()}


def is_of(entry: Entry, marks: Collection[str]) -> bool:
    """Whether it is made of data with one of the fingerprints `marks`.

    Decoded images are there whole, also where a run takes a part of them (`train_per_class`, `held_out`): such parts
    have the fingerprint of the whole, and what was done with it behind a hyphen.
    """
    known = {mark.partition("-")[0] for mark in marks} if entry.kind == "dataset" else marks
    return bool(entry.fingerprint) and entry.fingerprint in known


def copies(
    marks: Collection[str], networks: Sequence[Path], cache_dir: str | None = None
) -> list[str]:
    """Where images that were to be forgotten are still, in words: the caches of data with the `marks` of a Dataset.

    Beside those that say so, `networks` are directories of networks that learned the images, if they exist.
    """
    known = {path.absolute() for path in networks}
    told = []
    for entry in entries(cache_dir):
        if entry.kind == "dataset" and is_of(entry, marks):
            told.append(f"the decoded images {entry.path}")
        elif entry.kind == "network" and (
            entry.path.absolute() in known
            or (entry.fingerprint in marks and entry.role == "original")
        ):
            told.append(f"the original network {entry.path}")
        elif entry.kind == "bank" and entry.fingerprint in marks:
            told.append(f"the networks of audits {entry.path}")
    return told


def remove(entry: Entry) -> str:
    """Remove an entry, and say what of it is still there and why; empty if nothing is.

    Only files that prove to be the project's are removed.
    """
    if entry.kind == "network":
        return _remove_network(entry.path)
    if entry.kind == "bank":
        return _remove_bank(entry.path)
    if entry.kind == "scores":
        return _remove_scores(entry.path)
    if entry.kind == "compiled":
        ours = [p.name for p in _listed(entry.path) if _is_program(p)]
        files.remove_listed(entry.path, ours)
        left = entry.path.exists() and any(entry.path.iterdir())
        return "the rest of it was not put there by JAX" if left else ""
    try:
        entry.path.unlink(missing_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _remove_network(directory: Path) -> str:
    try:
        with exclusive(directory):
            for snapshot in snapshots.complete(directory):
                snapshots.forget(snapshot)
            with suppress(CheckpointError):
                snapshots.tidy(directory, None, remove=True)
            files.clear_temporaries(directory)
            rest = [path.name for path in directory.iterdir() if not snapshots.beside(path)]
            if rest:
                return f"{rest[0]!r} in it has no note that says that it is ours: delete it by hand"
            names = [path.name for path in directory.iterdir()]
            files.remove_listed(directory, sorted(names, key=lambda name: name == ".lock"))
    except ConfigError:
        return "it is in use by a run"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _remove_bank(directory: Path) -> str:
    try:
        with ExitStack() as held:
            # Who unlearns holds the folder of its method alone.
            for place in (directory, *_listed(directory / "unlearned")):
                if place.is_dir():
                    held.enter_context(exclusive(place))
            names = files.tree(directory)
            ours = [name for name in names if BANK_FILE.fullmatch(name)]
            files.remove_listed(directory, sorted(ours, key=lambda name: name == ".lock"))
            rest = [name for name in names if name not in ours]
            return f"{rest[0]!r} in it is no file of a bank: delete it by hand" if rest else ""
    except ConfigError:
        return "it is in use by a run"
    except OSError as error:
        return error.strerror or str(error)


def _remove_scores(directory: Path) -> str:
    try:
        with exclusive(directory):
            names = files.tree(directory)
            ours = [name for name in names if SCORES_FILE.fullmatch(name)]
            files.remove_listed(directory, sorted(ours, key=lambda name: name == ".lock"))
            rest = [name for name in names if name not in ours]
            return f"{rest[0]!r} in it is no file of scores: delete it by hand" if rest else ""
    except ConfigError:
        return "it is in use by a run"
    except OSError as error:
        return error.strerror or str(error)


def _about_scores(directory: Path) -> dict[str, str]:
    """What scores say of their data, as `describe`; a file that cannot be read says nothing."""
    with suppress(DataError):
        found = example_scores.load(directory / SCORES)
        about = {"dataset": str(found.about.get("dataset", "")), "fingerprint": found.fingerprint}
        return about | {"role": found.kind}
    return dict.fromkeys(FIELDS, "")


def _archive(path: Path) -> Entry:
    matched = ARCHIVE.fullmatch(path.name)
    name = matched["name"] if matched else ""
    mark = ""
    # A damaged one is still known by its name.
    with suppress(Exception), path.open("rb") as file:
        meta = read_meta(np.load(file, allow_pickle=False))
        name, mark = meta["name"], fingerprint(meta["digests"])
    return _measured(Entry("dataset", path, 0, 0.0, name, mark))


def _measured(entry: Entry) -> Entry:
    """With its size and date."""
    paths = [entry.path / name for name in files.tree(entry.path)] or [entry.path]
    found = []
    for path in paths:
        with suppress(OSError):
            found.append(path.lstat())
    size = sum(stat.st_size for stat in found)
    return entry._replace(bytes=size, changed=max((s.st_mtime for s in found), default=0.0))


def _listed(directory: Path) -> list[Path]:
    """What is in a directory, but for links."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if not path.is_symlink())


def _is_program(path: Path) -> bool:
    if not path.is_file():
        return False
    if files.TEMPORARY.fullmatch(path.name):
        return True
    with path.open("rb") as file:
        start = file.read(len(compilations.SEAL))
    known = start.startswith((compilations.SEAL, *compilations.UNSEALED))
    return PROGRAM.fullmatch(path.name) is not None and (known or ".damaged" in path.name)
