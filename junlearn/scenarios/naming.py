"""Which training example a line of a request means: by its row, its number or the name of its file.

A file's name is taken as it stands before anything else. Where no image has it, these are passed over, as long as what
is left means one image: spaces and quotes around it, a byte-order mark, backslashes in the place of slashes, `./` and
`//`, the folder of the dataset in front of it (from `/` or from the current directory), and Unicode's forms of one
letter. Letter case is not: the error names what is near.
"""

import difflib
import os
import posixpath
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np

from junlearn.errors import ConfigError
from junlearn.types import Dataset

__all__ = ["By", "finder", "numbers"]

By = Literal["row", "id"]

NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
AROUND = "\ufeff"
"""A byte-order mark, which stays within a text where files were put together."""

NEIGHBOURS = 200
"""So many names on either side, in order of their beginnings and of their ends, are compared letter by letter."""
SHOWN = 100


def finder(by: By, dataset: Dataset) -> Callable[[str], int]:
    """`(line) -> row of "train"`; it raises ConfigError, with the reason alone, for a line that means no such example.

    Raises ConfigError where the dataset has no ids, or two examples share one.
    """
    if by == "row":
        return partial(_row, dataset.name, dataset.sources["train"].y.size)
    rows = {number: row for row, number in enumerate(numbers(dataset).tolist())}
    number_of = _by_name(dataset) if dataset.names else partial(_by_number, dataset, sorted(rows))

    def find(line: str) -> int:
        number = number_of(line)
        if number not in rows:
            raise ConfigError(_absent(dataset, line, number))
        return rows[number]

    return find


def numbers(dataset: Dataset) -> np.ndarray:
    """int[N]: the `id` of every training example. Raises ConfigError unless each has one of its own."""
    ids = dataset.sources["train"].id
    if ids is None:
        raise ConfigError(f'{dataset.name} has no ids: name rows, with scenario.by = "row"')
    if len(np.unique(ids)) != len(ids):
        raise ConfigError(
            f'the ids of {dataset.name} are not of one example each: name rows, with scenario.by = "row"'
        )
    return np.asarray(ids)


def _row(name: str, count: int, line: str) -> int:
    text = _bare(line)
    if NUMBER.fullmatch(text) and int(text) < count:
        return int(text)
    raise ConfigError(
        f"no training example of {name} has the row {_shown(text)}; there are {count:,}: whole numbers from 0 to "
        f"{count - 1}, without sign, point or leading zeros{_remedy(text, lambda t: bool(NUMBER.fullmatch(t)))}"
        + ("" if not re.search(r"[^\W\d]", text) else '; names need scenario.by = "id"')
    )


def _by_number(dataset: Dataset, known: Sequence[int], line: str) -> int:
    text = _bare(line)
    if NUMBER.fullmatch(text):
        number = int(text)
        place = bisect_left(known, number)
        if known[place : place + 1] == [number] or _part(dataset, number):
            return number
        near = min(known[max(place - 1, 0) : place + 1], key=lambda other: abs(other - number))
        hint = f"the nearest is {str(near)!r}"
    else:
        hint = f"ids are whole numbers here, such as {str(known[0])!r}"
        hint += _remedy(text, lambda before: bool(NUMBER.fullmatch(before)))
    raise ConfigError(
        f"no training example of {dataset.name} has the id {_shown(text)}; there are {len(known):,}, {hint}"
    )


def _by_name(dataset: Dataset) -> Callable[[str], int]:
    """`(line) -> id`, by the names of files."""
    known = {name: number for number, name in enumerate(dataset.names)}
    root = Path(dataset.root) if dataset.root else None

    @lru_cache(maxsize=1)
    def by_form() -> Mapping[str, list[str]]:
        forms: dict[str, list[str]] = {}
        for name in known:
            forms.setdefault(unicodedata.normalize("NFC", name), []).append(name)
        return forms

    def meant(line: str) -> int | None:
        spellings = list(dict.fromkeys(_spellings(line, root)))
        for text in spellings:
            if text in known:
                return known[text]
        for text in spellings:
            same = by_form().get(unicodedata.normalize("NFC", text), [])
            if len(same) > 1:
                raise ConfigError(
                    f"{_shown(text)} can mean any of {len(same)} images, whose names look the same: "
                    f"{', '.join(map(ascii, same))}; write it as one of them stands on disk"
                )
            if same:
                return known[same[0]]
        return None

    def number_of(line: str) -> int:
        number = meant(line)
        if number is not None:
            return number
        text = _bare(line)
        reason = _remedy(text, lambda before: meant(before) is not None)
        if not reason and root is not None and _lies_below(root, text):
            reason = "; this lies in the folder, and is no image of the dataset or one that has another name there"
        raise ConfigError(
            f"no training example of {dataset.name} has the id {_shown(text)}{reason or _nearest(text, dataset.names)}"
        )

    return number_of


def _spellings(line: str, root: Path | None) -> Iterator[str]:
    """What a line can mean, the most literal first."""
    bare = _bare(line)
    unquoted = bare[1:-1] if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'" else bare
    texts = (line, bare, unquoted)
    yield from texts
    for text in texts:
        for path in (text, text.replace("\\", "/")):
            if not path:
                continue
            yield posixpath.normpath(path)
            if root is None:
                continue
            whole = os.path.abspath(os.path.expanduser(path))
            for folder in (str(root), os.path.realpath(root)):
                if whole.startswith(folder + "/"):
                    yield whole[len(folder) + 1 :]


def _lies_below(root: Path, text: str) -> bool:
    return not os.path.isabs(text) and os.path.lexists(root / text)


def _bare(line: str) -> str:
    return line.strip().strip(AROUND).strip()


def _part(dataset: Dataset, number: int) -> str:
    """What an example is that stands in another source than "train"; empty if it is in none."""
    for source, what in dataset.apart.items():
        ids = dataset.sources[source].id if source in dataset.sources else None
        if ids is not None and number in ids:
            return what
    return ""


def _absent(dataset: Dataset, line: str, number: int) -> str:
    """Why an example of the dataset cannot be forgotten."""
    what = _part(dataset, number) or (
        "not in the training set of this run, which is a part of the dataset (train_per_class, or held_out for an "
        "image of the test set)"
    )
    return f"{_shown(_bare(line))} is {what}: no network has learned it"


def _remedy(text: str, is_known: Callable[[str], bool]) -> str:
    """What is wrong with a line as a whole, where that can be seen; else empty."""
    before, mark, _ = text.partition(" #")
    if mark and is_known(before.strip()):
        return "; a comment needs a line of its own, which begins with #"
    if "\r" in text:
        return "; lines end in a line feed, and a carriage return alone ends none"
    return ""


def _nearest(text: str, names: Sequence[str]) -> str:
    """A hint at the name that is most like `text`.

    A slip at one place leaves the beginning or the end of a name, so only neighbours by these are compared in full.
    """
    wanted = _folded(text)
    best: tuple[float, str] = (-1.0, names[0])
    for backwards in (False, True):
        step = -1 if backwards else 1
        ordered = sorted((_folded(name)[::step], number) for number, name in enumerate(names))
        place = bisect_left(ordered, (wanted[::step], -1))
        for key, number in ordered[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS]:
            if key[::step] == wanted:
                return f"; did you mean {names[number]!r}? The two differ in letter case"
            likeness = difflib.SequenceMatcher(None, key[::step], wanted).ratio()
            best = max(best, (likeness, names[number]))
    return f"; there are {len(names):,}, the nearest is {best[1]!r}"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).replace("\\", "/").casefold()


def _shown(text: str) -> str:
    """A part of a line in an error: as Python writes it, and not longer than a person reads."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
