"""Files that are there as a whole or not at all."""

import os
from pathlib import Path

__all__ = ["replace"]


def replace(path: Path, text: str) -> None:
    """Write a file, in a directory that is made if missing, in one step that is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
