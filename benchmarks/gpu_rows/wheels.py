"""Packages that the project needs and this Python lacks, and how they come from a folder of wheels."""

import importlib
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["DECODING", "how_to_make", "install", "missing"]

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
DECODING = ("tensorflow-datasets", "array-record")
"""What only decoding a prepared dataset needs; once decoded, it is read from the cache without them."""


def missing(pyproject: Path = PYPROJECT) -> list[str]:
    """What `[project] dependencies` ask for and is not there, or in another version, as they write it."""
    from packaging.requirements import Requirement

    asked = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    found = []
    for text in asked:
        requirement = Requirement(text)
        try:
            there = requirement.specifier.contains(version(requirement.name), prereleases=True)
        except PackageNotFoundError:
            there = False
        if not there:
            found.append(text)
    return found


def how_to_make(requirements: Sequence[str]) -> str:
    """The commands that make a folder of wheels, to be typed where there is a network."""
    names = " ".join(f"'{each}'" for each in requirements)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    download = (
        f"python -m pip download --only-binary=:all: --python-version {python} -d wheels {names}"
    )
    if any(each.startswith(DECODING[0]) for each in requirements):
        # It needs promise, of which there is no wheel to download.
        built = "python -m pip wheel --no-deps -w wheels promise"
        return f"{built} && {download} --find-links wheels"
    return download


def install(folder: Path, requirements: Sequence[str]) -> str | None:
    """Install from the wheels in `folder`, without a network; returns what went wrong, in one line."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
    done = subprocess.run(
        [*command, "--find-links", str(folder), *requirements], capture_output=True, text=True
    )
    importlib.invalidate_caches()
    if done.returncode == 0:
        return None
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return " ".join((said or done.stderr.splitlines() or ["pip failed"])[-1].split())
