"""Files of the project's own: whole or not there, sealed, never through a link, nobody else's removed."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from junlearn import files
from junlearn.errors import DamagedError


def test_a_sealed_object_comes_back():
    content = {"a": 1, "b": [0.1, None, "ü"], "c": {"d": True}}
    assert files.unseal(files.seal(content, "run 1"), "run 1") == content


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: "\0" * len(text), "not JSON"),
        (lambda text: "[" * 100_000, "not JSON"),
        (lambda text: "", "not JSON"),
        (lambda text: f"[{text}]", "not a JSON object"),
        (lambda text: text.replace("0.25", "0.26"), "checksum does not fit"),
        (lambda text: text.replace('"a"', '"b"'), "checksum does not fit"),
        (lambda text: text.replace('"a": 0.25, ', ""), "checksum does not fit"),
        (lambda text: json.dumps({"a": 0.25}), "no checksum"),
    ],
)
def test_what_was_changed_is_told(change, reason):
    text = change(files.seal({"a": 0.25, "name": "x"}))
    with pytest.raises(DamagedError, match=reason):
        files.unseal(text)


def test_what_belongs_to_something_else_is_told():
    with pytest.raises(DamagedError, match="does not fit"):
        files.unseal(files.seal({"a": 1}, "run 1"), "run 2")


def test_numbers_that_are_not_finite_are_not_sealed():
    with pytest.raises(ValueError, match="JSON compliant"):
        files.seal({"a": float("nan")})


def test_a_line_after_half_a_line_is_a_line(tmp_path):
    path = tmp_path / "log"
    files.append_line(path, "one")
    path.write_text(path.read_text() + "tw")
    files.append_line(path, "three")
    assert path.read_text() == "one\ntw\nthree\n"


@pytest.mark.parametrize("write", [files.replace, files.append_line])
def test_what_a_planted_link_points_to_stays(tmp_path, write):
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_text("mine")
    link.symlink_to(other)
    if write is files.append_line:
        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            write(link, "text")
    else:
        write(link, "text")
        assert not link.is_symlink()
    assert other.read_text() == "mine"


def test_temporary_files_of_dead_processes_are_cleared_and_no_others(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    host = files._host()
    dead = tmp_path / f".config.json.{host}-{process.pid}-0123abcd.tmp"
    kept = [
        tmp_path / f".config.json.{host}-{os.getpid()}-0123abcd.tmp",
        tmp_path / f".config.json.{'0' * 8}-{process.pid}-0123abcd.tmp",
        tmp_path / f"config.json.{host}-{process.pid}-0123abcd.tmp",
        tmp_path / ".notes.tmp",
    ]
    for path in [dead, *kept]:
        path.write_text("")
    files.clear_temporaries(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    files.clear_temporaries(tmp_path / "missing")


def test_a_damaged_file_is_kept_beside(tmp_path):
    path = tmp_path / "records.jsonl"
    for number, name in enumerate(["records.jsonl.damaged", "records.jsonl.damaged-2"]):
        path.write_text(str(number))
        assert files.keep_damaged(path) == tmp_path / name
    assert [p.read_text() for p in sorted(tmp_path.iterdir())] == ["0", "1"]


def test_the_suite_leaves_a_directory_of_compiled_programs_that_it_did_not_make(tmp_path):
    kept = tmp_path / "compiled"
    kept.mkdir()
    (kept / "program").write_text("")
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", str(Path(__file__))]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(kept)}
    done = subprocess.run(
        command, env=environment, capture_output=True, cwd=Path(__file__).parents[1]
    )
    assert done.returncode == 0, done.stdout
    assert (kept / "program").exists()
