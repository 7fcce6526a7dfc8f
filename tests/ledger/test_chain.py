"""Lines that are only added: whatever is changed, cut off or missing is named by its line."""

import json

import pytest

from junlearn import files
from junlearn.errors import ConfigError, DamagedError
from junlearn.ledger import chain
from junlearn.ledger.chain import HEAD, LEDGER, START_OF_CHAIN, Chain


@pytest.fixture
def three(tmp_path):
    """A directory with three lines."""
    found = Chain((), START_OF_CHAIN)
    for name in "abc":
        found = chain.append(tmp_path, found, {"kind": name})
    return tmp_path


def texts(place):
    return (place / LEDGER).read_text().splitlines()


def write(place, lines):
    (place / LEDGER).write_text("".join(f"{line}\n" for line in lines))


def test_lines_come_back(three):
    found = chain.read(three)
    assert [line["kind"] for line in found.lines] == ["a", "b", "c"]
    assert [line["number"] for line in found.lines] == [1, 2, 3]
    assert not found.unfinished and not found.behind
    assert json.loads((three / HEAD).read_text())["hash"] == found.hash


def test_where_nothing_is_there_is_no_ledger(tmp_path):
    with pytest.raises(ConfigError, match="is no ledger"):
        chain.read(tmp_path)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_line_is_named(three, number):
    lines = texts(three)
    lines[number - 1] = lines[number - 1].replace('"kind": "', '"kind": "x')
    write(three, lines)
    with pytest.raises(DamagedError, match=f"line {number}: its checksum"):
        chain.read(three)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_so_is_one_that_was_sealed_again(three, number):
    lines = texts(three)
    lines[number - 1] = files.seal(files.unseal(lines[number - 1]) | {"kind": "other"})
    write(three, lines)
    # The line after it is the first that does not follow; of the last one the head knows.
    first = number + 1 if number < 3 else 3
    with pytest.raises(DamagedError, match=f"line {first}: it (does not follow|is not the one)"):
        chain.read(three)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([0, 2], "line 2: it says that it is line 3"),
        ([0, 2, 1], "line 2: it says that it is line 3"),
        ([0, 0, 1, 2], "line 2: it says that it is line 1"),
        ([0, 1], "cut off: line 3 of 3 is missing"),
        ([], "cut off: line 1 of 3 is missing"),
    ],
)
def test_lines_that_are_gone_or_elsewhere(three, order, said):
    lines = texts(three)
    write(three, [lines[i] for i in order])
    with pytest.raises(DamagedError, match=said):
        chain.read(three)


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_file_that_is_cut_off_within_its_last_line(three, cut):
    path = three / LEDGER
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DamagedError, match="line 3 of 3 is cut off"):
        chain.read(three)


def test_a_line_that_was_being_written_is_none(three):
    path = three / LEDGER
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"number": 4, "prev')
    found = chain.read(three)
    assert found.unfinished and len(found.lines) == 3
    found = chain.mend(three, found)
    assert path.read_bytes() == whole
    assert len(chain.append(three, found, {"kind": "d"}).lines) == len(chain.read(three).lines) == 4


def test_a_head_that_is_one_behind_is_of_a_killed_process(three):
    head = (three / HEAD).read_text()
    after = chain.append(three, chain.read(three), {"kind": "d"})
    (three / HEAD).write_text(head)
    found = chain.read(three)
    assert found.behind and found.hash == after.hash
    chain.mend(three, found)
    assert not chain.read(three).behind


def test_a_head_that_is_two_behind_is_not(three):
    head = (three / HEAD).read_text()
    for name in "de":
        chain.append(three, chain.read(three), {"kind": name})
    (three / HEAD).write_text(head)
    with pytest.raises(DamagedError, match=r"line 4: .* knows nothing of it"):
        chain.read(three)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (HEAD, None, "names the last line, is missing"),
        (LEDGER, None, "is missing"),
        (HEAD, "{}", "it has no checksum"),
        (HEAD, files.seal({"lines": 3}), "no head of a ledger"),
        (LEDGER, "x\n", "line 1: it is not JSON"),
        (LEDGER, files.seal({"number": 1, "previous": START_OF_CHAIN}) + "\n", "no line of a"),
        (LEDGER, files.seal({"number": 1, "previous": "0"}) + "\n", "beginning of a ledger"),
    ],
)
def test_files_that_are_missing_or_of_others(three, name, content, said):
    (three / name).unlink() if content is None else (three / name).write_text(content)
    with pytest.raises(DamagedError, match=said):
        chain.read(three)
