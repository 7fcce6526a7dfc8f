"""`records.jsonl` as disks, editors, merges and other programs leave it: what was changed is left out and said."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from junlearn import files
from junlearn.experiment import records

BOM = b"\xef\xbb\xbf"
NAMES = ("original", "retrain", "ssd")


def record(method="ssd", **changes):
    role = method if method in ("original", "retrain") else "unlearn"
    plain = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp"},
        "scenario": {"name": "class"},
        "seed": 0,
        "grid": [1.5, None],
    }
    made = records.new(plain, f"hash of {method}", role, method, {"accuracy/test": 0.9876}, None)
    return {**made, **changes}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "records.jsonl"
    for name in NAMES:
        records.append(path, record(name))
    return path


@pytest.fixture
def log(whole, tmp_path):
    return shutil.copy(whole, tmp_path / "records.jsonl")


def at(number, change):
    """A change of one line."""

    def damage(content):
        lines = content.splitlines(keepends=True)
        lines[number] = change(lines[number])
        return b"".join(lines)

    return damage


def insert(number, line):
    return at(number, lambda old: line + old)


def of_json(change, sealed=False):
    def damage(line):
        content = json.loads(line)
        change(content)
        if sealed:
            del content["checksum"]
            return files.seal(content).encode() + b"\n"
        return json.dumps(content).encode() + b"\n"

    return damage


def without(field):
    return of_json(lambda content: content.pop(field), sealed=True)


def other(field, value):
    return of_json(lambda content: content.update({field: value}), sealed=True)


CONFLICT = (b"<<<<<<< HEAD\n", b"=======\n", b">>>>>>> theirs\n")

# What is done to the file -> which records are lost, how many lines are left out.
DAMAGED = {
    "half a line at the end": (at(2, lambda line: line[: len(line) // 2]), {2}, 1),
    "half a line at the beginning": (at(0, lambda line: line[40:]), {0}, 1),
    "half a line in the middle": (at(1, lambda line: line[:90] + b"\n"), {1}, 1),
    "two lines in one": (at(0, lambda line: line.rstrip(b"\n")), {0, 1}, 1),
    "half a line before a line": (at(1, lambda line: line[:90] + line), {1}, 1),
    "zeros at the beginning": (insert(0, b"\0" * 100 + b"\n"), set(), 1),
    "zeros before a line": (insert(1, b"\0" * 100), {1}, 1),
    "zeros at the end": (lambda content: content + b"\0" * 4096, set(), 1),
    "a line of zeros": (at(1, lambda line: b"\0" * 700 + b"\n"), {1}, 1),
    "a merge conflict": (
        lambda content: CONFLICT[0] + content + CONFLICT[1] + content + CONFLICT[2],
        set(),
        3,
    ),
    "another program's line": (insert(1, b'{"level": "info", "text": "hello"}\n'), set(), 1),
    "another program's text": (insert(2, b"epoch 1: loss 0.3\n"), set(), 1),
    "a list": (insert(1, b"[1, 2]\n"), set(), 1),
    "a number": (insert(1, b"17\n"), set(), 1),
    "null": (insert(1, b"null\n"), set(), 1),
    "a string": (insert(1, b'"records"\n'), set(), 1),
    "nested deep": (insert(1, b"[" * 200_000 + b"\n"), set(), 1),
    "a huge line": (insert(1, b"x" * 3_000_000 + b"\n"), set(), 1),
    "a huge number": (insert(1, b"1" * 100_000 + b"\n"), set(), 1),
    "not UTF-8": (at(1, lambda line: line.replace(b"digits", b"di\xff\xfets")), {1}, 1),
    "a digit changed": (at(1, lambda line: line.replace(b"0.9876", b"0.9976")), {1}, 1),
    "a name changed": (at(2, lambda line: line.replace(b'"ssd"', b'"ssb"')), {2}, 1),
    "a hash changed": (at(2, lambda line: line.replace(b"hash of", b"hush of")), {2}, 1),
    "a field renamed": (at(1, lambda line: line.replace(b'"device"', b'"devise"')), {1}, 1),
    "an older line": (at(1, of_json(lambda content: content.pop("checksum"))), {1}, 1),
    "a checksum that is a number": (at(1, of_json(lambda c: c.update(checksum=1))), {1}, 1),
    "a checksum that is a list": (at(1, of_json(lambda c: c.update(checksum=[]))), {1}, 1),
    "another line's checksum": (
        lambda content: at(
            1,
            of_json(lambda c: c.update(checksum=json.loads(content.splitlines()[0])["checksum"])),
        )(content),
        {1},
        1,
    ),
    "no metrics": (at(1, without("metrics")), {1}, 1),
    "no config": (at(1, without("config")), {1}, 1),
    "no versions": (at(1, without("versions")), {1}, 1),
    "no role": (at(1, without("role")), {1}, 1),
    "no hash": (at(1, without("config_hash")), {1}, 1),
    "no seconds": (at(1, without("seconds")), {1}, 1),
    "metrics a list": (at(1, other("metrics", [1])), {1}, 1),
    "a metric a string": (at(1, other("metrics", {"a": "b"})), {1}, 1),
    "a metric an object": (at(1, other("metrics", {"a": {}})), {1}, 1),
    "seconds without a run": (at(1, other("seconds", {})), {1}, 1),
    "seconds a number": (at(1, other("seconds", 2.0)), {1}, 1),
    "a seed a string": (at(1, other("seed", "0")), {1}, 1),
    "a method a list": (at(1, other("method", ["a"])), {1}, 1),
    "a history an object": (at(1, other("history", {})), {1}, 1),
    "a config null": (at(1, other("config", None)), {1}, 1),
    "versions a string": (at(1, other("versions", "1")), {1}, 1),
    "everything twice and damaged": (
        lambda content: content + content.replace(b"0.9", b"0.8"),
        set(),
        3,
    ),
    "all of it": (lambda content: content[::-1], {0, 1, 2}, 3),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_not_as_written_is_left_out_said_and_kept_beside(log, kind):
    change, lost, lines = DAMAGED[kind]
    before = records.read(log)
    damaged = change(log.read_bytes())
    log.write_bytes(damaged)
    kept = [r for number, r in enumerate(before) if number not in lost]
    said = []
    assert records.read(log, said.append) == kept
    assert log.read_bytes() == damaged and list(log.parent.iterdir()) == [log]
    assert records.repair(log, said.append) == kept
    left_out = "1 line is" if lines == 1 else f"{lines} lines are"
    assert len(said) == 2 and all(f"{log}: {left_out} left out" in text for text in said)
    assert not any("\n" in text for text in said)
    assert (log.parent / "records.jsonl.damaged").read_bytes() == damaged
    # Now it is as it should be, and stays so.
    assert records.read(log, said.append) == records.repair(log, said.append) == kept
    records.append(log, record("more"), said.append)
    assert [r["method"] for r in records.read(log, said.append)][-1] == "more"
    assert len(said) == 2 and len(list(log.parent.iterdir())) == 2


HARMLESS = {
    "a mark at the beginning": lambda content: BOM + content,
    "Windows' line ends": lambda content: content.replace(b"\n", b"\r\n"),
    "blank lines": lambda content: b"\n\n" + content.replace(b"\n", b"\n\n"),
    "spaces": lambda content: content.replace(b"\n", b"  \n\t\n"),
    "no last line end": lambda content: content[:-1],
    "doubled lines": lambda content: content + content,
    "other spaces in the lines": lambda content: content.replace(b'": ', b'":'),
    "other order of the fields": lambda content: b"\n".join(
        json.dumps(dict(reversed(json.loads(line).items()))).encode()
        for line in content.splitlines()
    ),
    "all of them": lambda content: BOM + b"\r\n" + content.replace(b"\n", b"\r\n\r\n") * 2,
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_says_the_same_is_read_without_a_word(log, kind):
    before = records.read(log)
    log.write_bytes(HARMLESS[kind](log.read_bytes()))
    said = []
    assert records.read(log, said.append) == before
    records.append(log, record("more"), said.append)
    assert [r["method"] for r in records.read(log, said.append)] == [*NAMES, "more"]
    records.amend(log, record("ssd", weights="here"), said.append)
    assert [r.get("weights") for r in records.read(log, said.append)] == [None, None, "here", None]
    assert not said and list(log.parent.iterdir()) == [log]


def test_the_last_of_two_records_of_one_network_counts(log):
    records.append(log, record("ssd", metrics={"accuracy/test": 0.5}))
    assert [r["metrics"]["accuracy/test"] for r in records.read(log)] == [0.9876, 0.9876, 0.5]


def test_records_of_earlier_versions_are_said_to_be_such(log, caplog):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text(
        "".join(
            json.dumps({**r, "checksum": 0}).replace(', "checksum": 0', "") + "\n" for r in lines
        )
    )
    assert records.read(log) == []
    (line,) = caplog.messages
    assert "3 lines are left out" in line and "before records had checksums" in line


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_stop_nothing(log, value):
    said = []
    given = record(
        "diverged",
        metrics={"a": value, "b": 0.5},
        history=[{"stage": "s", "loss": value}],
        config={**record()["config"], "bound": value, "list": [value]},
    )
    kept = records.append(log, given, said.append)
    assert said == ["diverged: not in the record, no finite number: a"]
    assert kept["metrics"] == {"b": 0.5} and kept["history"] == [{"stage": "s"}]
    assert kept["config"]["bound"] == str(value) and kept["config"]["list"] == [str(value)]
    assert records.read(log, said.append)[-1] == kept and len(said) == 1


def write(path, name, count):
    for number in range(count):
        records.append(path, record(f"{name}_{number}"))
        if number % 5 == 0:
            records.amend(path, record(f"{name}_{number}", weights=name))


def test_several_writers_lose_nothing(tmp_path):
    path = tmp_path / "records.jsonl"
    # Each holds the file through a descriptor of its own, as processes do.
    with ThreadPoolExecutor(3) as pool:
        for job in [pool.submit(write, path, name, 30) for name in "abc"]:
            job.result()
    said = []
    found = records.read(path, said.append)
    assert len(found) == 90 and not said
    assert sum("weights" in r for r in found) == 18
