"""The configurations that come with the package: recipes of the papers, found by their names from any folder.

A name is the path below `configs/`, with or without ".toml": `laf/mnist_class`.
"""

import difflib
import os
from functools import cache
from pathlib import Path

from junlearn.errors import ConfigError

__all__ = ["FOLDER", "find", "names"]

PACKAGE = Path(__file__).parents[1]
FOLDER = next(
    (folder for folder in (PACKAGE / "configs", PACKAGE.parent / "configs") if folder.is_dir()),
    PACKAGE / "configs",
)
"""Where they are: in the package as a wheel installs it, beside the package in a clone of the repository."""
CUTOFF = 0.65
"""How alike (`difflib`) a name must be to be the one that was meant."""


@cache
def names() -> tuple[str, ...]:
    """The names of all of them."""
    return tuple(
        path.relative_to(FOLDER).with_suffix("").as_posix()
        for path in sorted(FOLDER.glob("*/*.toml"))
    )


def find(path: Path) -> Path:
    """The file that `path` means: the file of that path, or else the shipped configuration of that name.

    A path that is neither is returned as it is. Raises ConfigError, with the nearest names, if it is much like a name.
    """
    if path.is_absolute() or os.path.exists(path):
        return path
    name = path.as_posix().removeprefix("configs/").removesuffix(".toml")
    if name in names():
        return FOLDER / f"{name}.toml"
    near = [known for known in names() if known.partition("/")[2] == name][:3]
    near = near or difflib.get_close_matches(name, names(), n=1, cutoff=CUTOFF)
    if not near:
        return path
    raise ConfigError(
        f"{path}: no such file, and no configuration of that name comes with junlearn; "
        f"did you mean {' or '.join(map(repr, near))}?"
    )
