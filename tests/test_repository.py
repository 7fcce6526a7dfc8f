"""What is committed: the folders that the project has, and source, not what somebody has downloaded or built."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP = {
    *("pyproject.toml", "junlearn", "configs", "tests", "benchmarks", "README.md"),
    *(".ci", ".gitignore", "LICENSE"),
}
LARGEST = 250_000
"""Bytes of a file; of the numbers to compare with, the largest has 197,500."""


@pytest.fixture(scope="module")
def committed():
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True)
    except OSError:
        pytest.skip("git is not there")
    if not (names := done.stdout.decode().split("\0")[:-1]):
        pytest.skip("this is no clone")
    return list(map(Path, names))


def test_the_top_level_is_that_of_the_project(committed):
    assert {path.parts[0] for path in committed} == TOP


def test_arrays_are_numbers_to_compare_with(committed):
    arrays = [path for path in committed if path.suffix in {".npz", ".npy"}]
    assert arrays and all(path.parts[:2] == ("tests", "golden") for path in arrays)


def test_no_file_is_large_or_binary(committed):
    here = [ROOT / path for path in committed if (ROOT / path).is_file()]
    assert not {p.name: n for p in here if (n := p.stat().st_size) > LARGEST}
    others = [p for p in here if p.suffix not in {".npz", ".npy", ".png"}]
    assert not [p.name for p in others if b"\0" in p.read_bytes()]
