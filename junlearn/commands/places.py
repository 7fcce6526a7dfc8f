"""Places on disk that a command was given, looked at before any work: can a file or a folder be made there?"""

import os
from pathlib import Path

from junlearn.datasets.cache import dataset_cache_dir
from junlearn.errors import ConfigError

__all__ = ["check", "check_file", "check_folder"]


def check(workdir: Path, cache_dir: str | None) -> None:
    """Raise ConfigError unless a command can write in its own directory and in that which all share."""
    check_folder("--workdir", workdir)
    check_folder("--cache-dir", dataset_cache_dir(cache_dir).parent)


def check_folder(what: str, path: Path) -> None:
    """Raise ConfigError, which begins with `what`, unless `path` is a folder to write in, or one can be made there."""
    place = path
    while not _there(what, place):
        place = place.parent
    if not place.is_dir():
        named = "" if place == path else f"{place} in it "
        raise ConfigError(f"{what} {path}: {named}is a file, and a folder is needed")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{what} {path}: there is no permission to write in {place}")


def check_file(what: str, path: Path, within: Path | None = None) -> None:
    """Raise ConfigError, which begins with `what`, unless a file can be written at `path`.

    Its folder has to be there, but for folders in `within`, which the command makes.
    """
    if _there(what, path):
        if path.is_dir():
            raise ConfigError(f"{what} {path}: is a folder, and the name of a file is needed")
        if not os.access(path, os.W_OK):
            raise ConfigError(f"{what} {path}: there is no permission to write it")
    folder = path.parent
    inside = within is not None and Path(os.path.abspath(path)).is_relative_to(
        os.path.abspath(within)
    )
    if not _there(what, folder) and not inside:
        raise ConfigError(f"{what} {path}: the folder {folder} does not exist; make it first")
    check_folder(what, folder)


def _there(what: str, path: Path) -> bool:
    """Whether something is at `path`. Raises ConfigError for a name that cannot be one."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{what} {path}: {reason}") from error
    return True
