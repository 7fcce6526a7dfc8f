"""Compiled programs on disk: only what was written under a program's key runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from etils import epath

from junlearn import files
from junlearn.engine import compilations


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(compilations, "SAID", set())
    root = epath.Path(f"{compilations.SCHEME}//{tmp_path}")
    for name in ("a-cache", "b-cache"):
        (root / name).write_bytes(name.encode() * 50)
    return root


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


DAMAGED = {
    "swapped": lambda p: shutil.copy(p.with_name("b-cache"), p),
    "half": lambda p: p.write_bytes(p.read_bytes()[:200]),
    "one byte": lambda p: p.write_bytes(p.read_bytes()[:-1] + b"x"),
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"x"),
    "empty": lambda p: p.write_bytes(b""),
    "zeros": lambda p: p.write_bytes(bytes(500)),
    "the seal alone": lambda p: p.write_bytes(p.read_bytes()[:24]),
    "no seal": lambda p: p.write_bytes(b"a-cache" * 50),
    "a folder": replace_by_folder,
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_not_as_written_does_not_run_and_is_said(place, tmp_path, caplog, kind):
    DAMAGED[kind](tmp_path / "a-cache")
    assert not (place / "a-cache").exists() and (place / "b-cache").exists()
    (line,) = caplog.messages
    assert str(tmp_path) in line and "a-cache" in line and "\n" not in line
    assert (tmp_path / "a-cache.damaged").exists()
    (place / "a-cache").write_bytes(b"new" * 100)
    assert (place / "a-cache").exists() and (place / "a-cache").read_bytes() == b"new" * 100
    # One line for all of a directory.
    DAMAGED[kind](tmp_path / "a-cache")
    assert not (place / "a-cache").exists() and len(caplog.messages) == 1


def test_programs_of_before_they_were_sealed_go_without_a_word(place, tmp_path, caplog):
    for start in compilations.UNSEALED:
        (tmp_path / "a-cache").write_bytes(start + b"program")
        assert not (place / "a-cache").exists()
    assert not caplog.messages and files.tree(tmp_path) == ["b-cache"]


def test_a_directory_that_cannot_be_written_does_no_harm(place, tmp_path):
    (tmp_path / "c-cache").mkdir()
    (place / "c-cache").write_bytes(b"content")
    assert (tmp_path / "c-cache").is_dir()


def test_what_an_evicting_cache_asks_for(place):
    names = sorted(path.name for path in place.glob("*-cache"))
    assert names == ["a-cache", "b-cache"] and (place / "a-cache").stat().length == 350 + 24
    (place / "a-cache").unlink()
    assert not (place / "a-cache").exists()


SCRIPT = """
import sys
from pathlib import Path
import jax, numpy as np
from junlearn.engine import compilations
compilations.keep(Path(sys.argv[1]), 0.0)
x = np.arange(4.0, dtype=np.float32)
print([float(jax.jit(f)(x)[3]) for f in (lambda x: x * 2, lambda x: x * 3)])
"""


def test_swapped_programs_are_compiled_again(tmp_path):
    """JAX alone runs the other one."""
    place = tmp_path / "[a] \\ compiled"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}

    def run():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(place)],
            env=environment | {"JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and done.stdout == "[6.0, 9.0]\n", done.stderr
        return done.stderr

    assert run() == ""
    first, second = sorted(place.glob("jit__lambda*-cache"))
    written = first.stat().st_mtime_ns
    assert run() == "" and first.stat().st_mtime_ns == written
    for a, b in (
        (first, Path(tmp_path, "aside")),
        (second, first),
        (Path(tmp_path, "aside"), second),
    ):
        a.rename(b)
    assert run().count("\n") == 1
    assert run() == ""


def test_jax_is_told(tmp_path, monkeypatch):
    told = {}
    monkeypatch.setattr(jax.config, "update", told.__setitem__)
    compilations.keep(tmp_path / "c", 0.5)
    assert told["jax_compilation_cache_dir"] == f"junlearn-sealed://{tmp_path / 'c'}"
    assert not (tmp_path / "c").exists()
    assert told["jax_persistent_cache_min_compile_time_secs"] == 0.5
