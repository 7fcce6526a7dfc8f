"""Decoded datasets kept on disk: one uncompressed `.npz` each, which numpy alone can read.

Members are the arrays of each source (`train/x`, `train/y`, ...) and `meta`, JSON as uint8. No
pickle. The file's name holds the dataset, its version and a hash that identifies the source, so a
source that is prepared again or changed gets a new cache. `meta` is sealed, and holds the same and
the digest of every array: other pixels, other labels, a row less or another dataset's file under
this name are noticed. Writing is atomic: whoever reads sees a whole file, and processes that build
the same cache replace it by an equal one.
"""

import hashlib
import json
import logging
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from junlearn.errors import DamagedError, DataError
from junlearn.files import array_digest, clear_temporaries, keep_damaged, replacing, seal, unseal
from junlearn.types import Data, Sources

__all__ = [
    "Cached",
    "cached",
    "dataset_cache_dir",
    "digests",
    "fingerprint",
    "identify",
    "load_cache",
    "load_orphan",
    "read_meta",
    "save_cache",
]

log = logging.getLogger(__name__)

FORMAT = 2
SEAL = "dataset cache"


class Earlier(DataError):
    """A cache in the format of an earlier version."""


class Cached(NamedTuple):
    """A decoded dataset with its provenance."""

    name: str
    version: str
    identity: str
    """Hash that tells one state of the source from another."""
    source: str
    """Directory that it was decoded from."""
    sources: Sources
    """Host numpy arrays."""
    digests: Mapping[str, str]
    """Hash of each array, by member name."""
    classes: tuple[str, ...] = ()
    """Class names, where the source carries them."""
    remarks: tuple[str, ...] = ()
    """What a person should know of how it was decoded, a line each."""


def dataset_cache_dir(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The caches' folder, in `cache_dir`, else JUNLEARN_CACHE_DIR, else ~/.cache/junlearn."""
    root = cache_dir or os.environ.get("JUNLEARN_CACHE_DIR") or "~/.cache/junlearn"
    return Path(root).expanduser().absolute() / "datasets"


def identify(*parts: object) -> str:
    """A short hash of what has a faithful `repr`: numbers, strings, tuples and lists of them."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _stem(name: str) -> str:
    """`name` as the first part of a file name, free of the hyphen that ends it."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name)


def _members(sources: Sources) -> dict[str, np.ndarray]:
    return {
        f"{split}/{field}": array
        for split, data in sources.items()
        for field, array in data._asdict().items()
        if array is not None
    }


def digests(sources: Sources) -> dict[str, str]:
    """blake2b of each array (dtype, shape and content), by name: `"train/x"`, `"train/y"`, ..."""
    return {name: array_digest(array) for name, array in _members(sources).items()}


def fingerprint(of_arrays: Mapping[str, str]) -> str:
    """blake2b over the arrays of a dataset, from their `digests`."""
    return hashlib.blake2b(repr(sorted(of_arrays.items())).encode(), digest_size=16).hexdigest()


def save_cache(path: Path, content: Cached) -> None:
    """Write `content` to `path` in one step, in a directory that is made if missing."""
    meta = content._asdict() | {"format": FORMAT, "digests": dict(content.digests)}
    del meta["sources"]
    arrays = {"meta": np.frombuffer(seal(meta, SEAL).encode(), np.uint8)}
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_temporaries(path.parent)
    with replacing(path) as file:
        np.savez(file, **arrays, **_members(content.sources))  # type: ignore[arg-type]


def read_meta(archive: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What is sealed in an archive. Raises DamagedError, Earlier for one of another format."""
    content = archive["meta"].tobytes()
    try:
        meta = unseal(content, SEAL)
    except DamagedError:
        with suppress(ValueError, TypeError, LookupError):
            number = json.loads(content)["format"]
            if number != FORMAT:
                raise Earlier(f"written in format {number}, not {FORMAT}") from None
        raise
    if meta["format"] != FORMAT:
        raise Earlier(f"written in format {meta['format']}, not {FORMAT}")
    return meta


def load_cache(path: str | os.PathLike[str]) -> Cached:
    """Read a cache file; the library that it was decoded with is not needed.

    Raises DataError if it is truncated, damaged, changed or not a cache of this format;
    FileNotFoundError if there is none.
    """
    try:
        with Path(path).open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            meta = read_meta(arrays)
            fields: dict[str, dict[str, np.ndarray]] = {}
            for member in meta["digests"]:
                split, field = member.split("/")
                try:
                    fields.setdefault(split, {})[field] = arrays[member]
                except zipfile.BadZipFile as error:
                    raise DamagedError(f"bad checksum of {member}") from error
        if "train" not in fields:
            raise DamagedError("no training set")
        sources = {split: Data(**columns) for split, columns in fields.items()}
        for member, digest in digests(sources).items():
            if digest != meta["digests"][member]:
                raise DamagedError(f"bad checksum of {member}")
        return Cached(
            name=meta["name"],
            version=meta["version"],
            identity=meta["identity"],
            source=meta["source"],
            sources=sources,
            digests=meta["digests"],
            classes=tuple(meta["classes"]),
            remarks=tuple(meta.get("remarks", ())),
        )
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file can make any layer of the reading fail
        kind = Earlier if isinstance(error, Earlier) else DataError
        raise kind(f"the cache {os.fspath(path)} cannot be read ({error}): delete it") from error


def load_orphan(
    name: str, source: Path, cache_dir: str | os.PathLike[str] | None = None
) -> Cached | None:
    """The newest cache of `name` that was made from the directory `source`, which is gone now.

    None if there is none. A cache made from another directory is never taken: it may hold other
    data. Raises DataError, naming the file, if the only candidate is damaged.
    """
    good, damaged = [], []
    for path in dataset_cache_dir(cache_dir).glob(f"{_stem(name)}-*.npz"):
        try:
            with path.open("rb") as file:  # numpy would leave a damaged file open
                meta = read_meta(np.load(file, allow_pickle=False))
        except Exception:  # judged, and named to the user, by load_cache
            damaged.append(path)
        else:
            if (meta["name"], meta["source"]) == (name, str(source)):
                good.append(path)
    candidates = good or damaged
    if not candidates:
        return None
    newest = max(candidates, key=lambda path: path.stat().st_mtime)
    content = load_cache(newest)
    log.info("%s is gone; read from its cache %s", source, newest)
    return content


def cached(
    decode: Callable[[], Cached],
    *,
    name: str,
    version: str,
    identity: str,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Cached:
    """The dataset from its cache, else from `decode`, whose result is then cached.

    A damaged cache is kept as `NAME.damaged` and rebuilt, and the log says so; one of an earlier
    version is rebuilt without a word. A cache that cannot be written is logged and does no other
    harm.
    """
    path = dataset_cache_dir(cache_dir) / f"{_stem(name)}-{version}-{identity}.npz"
    try:
        content = load_cache(path)
        if (content.name, content.identity) == (name, identity):
            return content
        raise DataError(f"the cache {path} cannot be read (it is that of {content.source})")
    except (FileNotFoundError, Earlier):
        pass
    except DataError as error:
        reason = str(error).removesuffix(": delete it")
        log.warning("%s; rebuilding it%s", reason, _put_aside(path))
    content = decode()
    try:
        save_cache(path, content)
    except OSError as error:
        log.warning("cannot write the cache %s (%s); the next run decodes again", path, error)
    return content


def _put_aside(path: Path) -> str:
    """Where a damaged cache is now, in words; where it cannot be moved, the new one takes its place."""
    try:
        return f", the file as it was is {keep_damaged(path).name}"
    except OSError:
        return ""
