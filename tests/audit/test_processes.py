"""Several who fill one bank at the same time, and one of them that is killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from junlearn.audit import growth
from tests.audit.small import audited, folder, made, networks, numbers
from tests.conftest import ROOT

SCRIPT = """
import sys
from pathlib import Path
from tests.audit.small import audited
audited(Path(sys.argv[1]), metrics=("moments",))
"""


def start(bank):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(bank)],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_at_the_same_time_train_nothing_twice(tmp_path, monkeypatch):
    """Locks keep out whoever opened the file otherwise, be it in one process."""
    trained, found = [], []
    train_each = growth.train_each

    def watched(*arguments, **options):
        for one in train_each(*arguments, **options):
            trained.append(one.number)
            time.sleep(0.01)
            yield one

    monkeypatch.setattr(growth, "train_each", watched)

    def work():
        found.append(audited(tmp_path)[0])

    both = [threading.Thread(target=work) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(trained) == list(range(24)) and made(tmp_path) == 32
    assert len(found) == 2 and numbers(found[0]) == numbers(found[1])


def holder(bank):
    """The process that trains."""
    return int((folder(bank, "original") / ".lock").read_text())


def test_where_one_is_killed_the_other_goes_on(tmp_path, monkeypatch):
    both = {process.pid: process for process in (start(tmp_path), start(tmp_path))}
    while len(networks(tmp_path)) < 5:
        assert all(process.poll() is None for process in both.values())
        time.sleep(0.001)
    killed = both.pop(holder(tmp_path))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left = networks(tmp_path)
    (other,) = both.values()
    _, err = other.communicate(timeout=120)
    assert (other.returncode, err) == (0, "")
    assert killed.returncode == -signal.SIGKILL and 5 <= len(left) < 32
    after = networks(tmp_path)
    assert len(after) == 32 and left.items() <= after.items()
    # Between a file and the line on it there is room for one kill.
    assert made(tmp_path) in (31, 32) and not list(tmp_path.rglob(".*.tmp"))
    monkeypatch.setattr(growth, "train_each", pytest.fail)
    audited(tmp_path, metrics=("moments",))
