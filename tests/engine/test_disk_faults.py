"""Full disks, files of other people, outputs that nobody reads: one line on stderr, status 2, and nothing is lost."""

import errno
import gc
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import pytest
from orbax.checkpoint import v1 as ocp

from junlearn.engine import checkpoint
from junlearn.errors import CheckpointError
from junlearn.main import main
from junlearn.text import terminal
from tests.kills import Syncs
from tests.tiny_run import arguments, results


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run."""
    directory = tmp_path_factory.mktemp("disk")
    assert main(arguments(directory)) == 0
    return directory


@pytest.fixture
def copied(trained, tmp_path):
    """The cache of it, and no run yet."""
    shutil.copytree(trained / "cache", tmp_path / "cache")
    return tmp_path


def one_line(capfd, *parts):
    error = capfd.readouterr().err
    assert error.count("\n") == 1, error
    assert error.startswith("junlearn: ")
    for part in parts:
        assert part in error


CODES = [
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ((), ""),
        (("a",), ": a"),
        ((b"a",), ": a"),
        ((3,), ""),
        (("a", None, "b"), ": a and b"),
        ((Path("a"),), ": a"),
    ],
)
def test_every_error_of_the_system_can_be_read(code, names, shown):
    error = OSError(code, os.strerror(code), *names)
    assert terminal.fault(error) == os.strerror(code) + shown


@pytest.mark.parametrize("error", [OSError(), OSError("no reason given"), TimeoutError()])
def test_so_can_one_without_a_number(error):
    assert terminal.fault(error)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("step", range(3))
def test_a_write_that_fails_is_one_line_and_is_made_up_for(
    copied, trained, monkeypatch, capfd, code, step
):
    """The first, second, third file that is to be on disk: whichever it is, its name is said."""
    with monkeypatch.context() as patch:
        Syncs(patch, left=step + 1, fault=lambda: OSError(code, os.strerror(code)))
        assert main(arguments(copied)) == 2
    one_line(capfd, os.strerror(code))
    assert not list(copied.rglob(".*.tmp"))
    assert main(arguments(copied)) == 0
    assert results(copied) == results(trained)


@pytest.mark.parametrize("size", [0, 10, 500, 3000])
def test_files_that_may_not_grow(copied, trained, capfd, size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # What is on disk already, so that the run alone is at fault: its messages go elsewhere.
    capfd.readouterr()
    words = arguments(copied)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        with capfd.disabled(), open(os.devnull, "w") as out:
            stdout, stderr = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = out, (said := Said())
            try:
                status = main(words)
            finally:
                sys.stdout, sys.stderr = stdout, stderr
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert status == 2
    assert said.text.count("\n") == 1
    assert main(words) == 0
    assert results(copied) == results(trained)


class Said:
    """A stream that keeps what is written in memory."""

    text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


STATE = {"a": jnp.ones((40, 100)), "b": jnp.ones(1000)}


@pytest.mark.parametrize("name", ["write_text", "rename"])
def test_a_snapshot_that_fails_says_nothing_itself(tmp_path, monkeypatch, caplog, recwarn, name):
    """Orbax's threads log a traceback each, and complain of coroutines later."""
    from etils import epath

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = checkpoint.Store(tmp_path / "s", "me")
    checkpoint.save(store, STATE, {})
    with monkeypatch.context() as patch:
        patch.setattr(type(epath.Path(tmp_path)), name, full)
        try:
            checkpoint.save(store, STATE, {})
        except CheckpointError as error:
            assert "No space left" in str(error) and "is intact" in str(error)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        gc.collect()
    assert not [w for w in said if "never awaited" in str(w.message)]
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert checkpoint.restore(store, STATE) is not None


def test_where_no_directory_can_be_made_orbax_is_not_asked(tmp_path, monkeypatch):
    """It would leave threads that wait for minutes, and the process would not end before."""

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint.os, "makedirs", full)
    monkeypatch.setattr(ocp, "save", None)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoint.save(checkpoint.Store(tmp_path / "s", "me"), STATE, {})


@pytest.mark.parametrize("command", [["list"], ["list", "--json"], ["run"]])
def test_a_full_output_is_one_line(trained, monkeypatch, capfd, command):
    words = arguments(trained) if command == ["run"] else command
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert main(words) == 2
    one_line(capfd, "No space left on device: the standard output")


@pytest.mark.parametrize("command", [["list"], ["run"]])
def test_an_output_that_nobody_reads_ends_quietly(trained, monkeypatch, capfd, command):
    words = arguments(trained) if command == ["run"] else command
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as out, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        assert main(words) == 141
    assert capfd.readouterr().err == ""


def test_a_closed_output_is_no_fault(trained, monkeypatch, capfd):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(arguments(trained)) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_without_all_characters_is_no_fault(trained, monkeypatch, tmp_path, encoding):
    with open(tmp_path / "out", "w", encoding=encoding) as out, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        assert main(arguments(trained)) == 0
        assert main(["list"]) == 0


@pytest.mark.parametrize("name", ["a" * 300, "not/there/" + "b" * 300])
def test_a_name_that_is_too_long_is_one_line(trained, capfd, tmp_path, name):
    words = arguments(trained)
    words[words.index("--workdir") + 1] = str(tmp_path / name)
    assert main(words) == 2
    one_line(capfd, "File name too long")


@pytest.mark.parametrize("place", ["run", "run/.lock", "run/records.jsonl", "run/config.json"])
def test_a_file_where_a_directory_belongs_and_the_reverse(copied, capfd, place):
    words = arguments(copied)
    path = copied / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("") if place == "run" else path.mkdir()
    assert main(words) == 2
    one_line(capfd, path.name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_files_of_somebody_else(trained, tmp_path):
    """Somebody without rights to the working directory, the cache, the configuration."""
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and str(path).startswith(str(Path("/tmp/pytest-of"))):
            path.chmod(0o755)
    places = {}
    for name in ("run", "cache", "config"):
        words = arguments(tmp_path / name)
        for kind in ("run", "cache"):
            (tmp_path / name / kind).mkdir()
            (tmp_path / name / kind).chmod(0o755 if kind == name else 0o777)
        places[name] = words
    (tmp_path / "config" / "tiny.json").chmod(0o600)
    script = (
        # What is imported late may lie where somebody else cannot read.
        f"import os, sys\nfrom junlearn.main import main\nmain({arguments(trained)!r})\n"
        "os.setgid(12345); os.setuid(12345)\n"
        f"for words in {list(places.values())!r}:\n"
        "    sys.stderr.write(f'status {main(words)}\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "HOME": str(tmp_path), "TMPDIR": "/tmp"},
    )
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("junlearn: ")]
    assert len(errors) == 3, done.stderr
    assert all("ermission" in line for line in errors), done.stderr
    assert lines.count("status 2") == 3, done.stderr
    assert not [line for line in lines if line.startswith((" ", "Traceback"))]
