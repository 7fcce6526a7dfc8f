"""Full disks, kills at every write, files that are changed or missing, two processes: nothing is lost."""

import errno
import fcntl
import hashlib
import os
import threading
import time

import pytest

from junlearn import files
from junlearn.experiment import locks
from junlearn.ledger import verify
from junlearn.ledger.chain import START_OF_CHAIN, Chain, append
from junlearn.main import main
from tests.kills import Killed, Syncs
from tests.ledger.small import (
    Begun,
    forget,
    ids,
    init,
    lines,
    networks,
    one_line,
    refused,
    same_bits,
)

REQUESTS = ((0, 1), (2,))
CHAINED = ("number", "previous")
"""Fields that a line has of its place."""


@pytest.fixture(scope="module")
def whole(begun, tmp_path_factory):
    """A ledger that nobody disturbed: its policy retrains after the second request."""
    place = begun.copy(tmp_path_factory.mktemp("whole"))
    for rows in REQUESTS:
        assert forget(place, ids(*rows)) == 0
    return Begun(place)


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("fault", [full, Killed])
@pytest.mark.parametrize("after", [False, True])
def test_whichever_write_fails_the_ledger_fits_and_ends_with_the_same_bits(
    whole, place, monkeypatch, capsys, fault, after
):
    """Each file in turn does not come to the disk, or does and the process learns nothing of it."""
    syncs = Syncs(monkeypatch, fault=fault, after=after)
    for rows in REQUESTS:
        done = False
        for step in range(1, 40):
            syncs.left, before = step, syncs.faults
            try:
                status = forget(place, ids(*rows))
            except Killed:
                status = None
            error = capsys.readouterr().err
            verify(place / "ledger")
            if "carried out by line" in error:
                done = True
            elif status == 2:
                assert error.count("\n") == 1 and "No space left" in error
            if syncs.faults == before:
                assert done or status == 0
                break
        else:
            raise AssertionError("there are too many writes")
    assert syncs.faults > 6 and len(networks(place)) == 4
    same_bits(place, whole.place)
    assert verify(place / "ledger")["unnamed"] == []


def test_what_a_killed_command_left_is_removed_by_the_next(place):
    stray = place / "ledger" / "networks" / f"{'0' * 64}.npz"
    stray.write_bytes(b"x")
    with (place / "ledger" / "ledger.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "prev')
    found = verify(place / "ledger")
    assert found["unnamed"] == [str(stray)] and found["unfinished"]
    assert main(["ledger", "verify", str(place / "ledger")]) == 0
    assert forget(place, ids(0)) == 0
    assert verify(place / "ledger")["unnamed"] == [] and not stray.exists()


@pytest.mark.parametrize("action", ["verify", "forget"])
def test_files_that_are_missing_or_changed(whole, tmp_path, capsys, action):
    place = whole.copy(tmp_path)
    folder = place / "ledger"
    names = networks(place)

    def told(*parts):
        words = ["ledger", action, str(folder)]
        status = forget(place, ids(9)) if action == "forget" else main(words)
        refused(capsys, status, *parts)

    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"epochs": 1', '"epochs": 2'))
    told("config.json", "line 1")
    (folder / "config.json").unlink()
    told("config.json", "missing")
    (folder / "config.json").write_text(text)
    # A request reads the network in use; all others are looked at by who verifies.
    line = len(lines(place))
    for name, number in ((names[-1], line), (names[1], 2)):
        if action == "forget" and number == 2:
            continue
        path = folder / "networks" / f"{name}.npz"
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        told("is not as it was written", name, *([f"line {number}:"] if action == "verify" else []))
        path.unlink()
        told("is missing", name)
        path.write_bytes(content)
    text = (folder / "ledger.jsonl").read_text()
    (folder / "ledger.jsonl").write_text(text.replace('"count": 2', '"count": 3', 1))
    told("ledger.jsonl, line 2: its checksum")
    (folder / "ledger.jsonl").write_text(text[:-5])
    told("is cut off")
    (folder / "ledger.jsonl").unlink()
    told("ledger.jsonl is missing")


@pytest.mark.parametrize(
    ("number", "changes", "said"),
    [
        (2, {"request": {"names": ["7", "7"]}, "kind": "forget"}, "deletes an example twice"),
        (3, {"kind": "retrain"}, "no decision asked for it"),
        (3, {"kind": "something"}, "its fields are not ours"),
        (4, {"network": {"before": "0", "after": "1"}}, "not the one that was in use"),
        (1, {"kind": "forget"}, "begins with 'init'"),
    ],
)
def test_lines_that_do_not_fit_to_each_other(whole, tmp_path, capsys, number, changes, said):
    """Whoever rewrites a whole chain, so that all hashes fit, must still tell a story that can be."""
    place = whole.copy(tmp_path)
    found = Chain((), START_OF_CHAIN)
    told = lines(place)
    (place / "ledger" / "ledger.jsonl").unlink()
    for line in told:
        line = {n: v for n, v in line.items() if n not in CHAINED}
        if len(found.lines) + 1 == number:
            line |= changes
        found = append(place / "ledger", found, line)
    words = ["ledger", "verify", str(place / "ledger")]
    refused(capsys, main(words), f"line {number}: ", said)


def test_the_same_example_is_not_deleted_by_two_lines(whole, tmp_path, capsys):
    place = whole.copy(tmp_path)
    found = Chain((), START_OF_CHAIN)
    told = lines(place)
    (place / "ledger" / "ledger.jsonl").unlink()
    told[3]["request"]["names"] = told[1]["request"]["names"][:1]
    for line in told:
        line = {n: v for n, v in line.items() if n not in CHAINED}
        found = append(place / "ledger", found, line)
    refused(capsys, main(["ledger", "verify", str(place / "ledger")]), "was deleted by line 2")


def test_two_processes_take_turns(place, capsys):
    """The second waits until the first is done."""
    with (place / "ledger" / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        statuses = []
        other = threading.Thread(target=lambda: statuses.append(forget(place, ids(0))))
        other.start()
        deadline = time.monotonic() + 60
        out = ""
        while "is in use by another run" not in out and time.monotonic() < deadline:
            time.sleep(0.02)
            out += capsys.readouterr().out
        assert "is in use by another run" in out and len(lines(place)) == 1
        fcntl.flock(lock, fcntl.LOCK_UN)
        other.join(60)
    assert statuses == [0] and lines(place)[1]["kind"] == "forget"


def test_a_read_only_directory(place, monkeypatch, capsys):
    """It can be read and verified; a request is one line."""

    def read_only(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place / "ledger" / ".lock"))

    monkeypatch.setattr(locks, "no_link", read_only)
    assert forget(place, ids(0)) == 2
    one_line(capsys, "Read-only file system", "ledger")
    assert main(["ledger", "verify", str(place / "ledger")]) == 0
    assert main(["ledger", "status", str(place / "ledger")]) == 0


def test_a_beginning_that_was_cut_off_is_made_again(begun, tmp_path, monkeypatch):
    syncs, kills = Syncs(monkeypatch), 0
    for step in range(1, 20):
        syncs.left = step
        try:
            status = init(tmp_path, "--retrain-every", "2")
            break
        except Killed:
            kills += 1
    assert kills > 2
    # Killed after the line, the beginning is done.
    assert status == 0 or verify(tmp_path / "ledger")["lines"] == 1
    assert networks(tmp_path) == networks(begun.place)


@pytest.mark.parametrize("written", [b"", b'{"number": 1, "prev'])
def test_so_is_one_that_was_cut_off_within_its_line(tmp_path, capsys, written):
    folder = tmp_path / "ledger"
    folder.mkdir()
    (folder / "ledger.jsonl").write_bytes(written)
    refused(capsys, main(["ledger", "verify", str(folder)]), "its beginning was cut off")
    assert init(tmp_path) == 0 and verify(folder)["lines"] == 1


def test_a_thousand_requests_are_verified_in_five_seconds(place):
    """The lines of requests, each with a network of its own."""
    folder = place / "ledger"
    (first,) = ({n: v for n, v in line.items() if n not in CHAINED} for line in lines(place))
    content = (folder / "networks" / f"{first['network']['after']}.npz").read_bytes()
    template = {name: first[name] for name in ("time", "metrics", "seconds", "versions")}
    template |= {
        "kind": "forget",
        "exact": True,
        "fingerprint": "",
        "twins": {"taken": False, "names": []},
    }
    told = [first | {"policy": {"every": None, "metric": None, "bound": None}}]
    for number in range(1000):
        other = content + number.to_bytes(4, "big")
        after = hashlib.sha256(other).hexdigest()
        (folder / "networks" / f"{after}.npz").write_bytes(other)
        network = {"before": told[-1]["network"]["after"], "after": after}
        request = {"names": [f"{number}-{i}" for i in range(5)]}
        told.append({**template, "request": request, "network": network})
    previous, texts = START_OF_CHAIN, []
    for number, line in enumerate(told, start=1):
        texts.append(files.seal({"number": number, "previous": previous, **line}))
        previous = hashlib.sha256(texts[-1].encode()).hexdigest()
    (folder / "ledger.jsonl").write_text("".join(f"{text}\n" for text in texts))
    (folder / "head.json").write_text(files.seal({"lines": len(texts), "hash": previous}))
    began = time.process_time()
    assert verify(folder)["requests"] == 1000
    assert time.process_time() - began < 5
