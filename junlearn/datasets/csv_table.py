"""A table of images: `path,label,split,id`, a line an image, with the columns in any order.

    path,label,split,id
    scans/0917.png,healthy,train,4711
    "scans/0918, left.png",ill,test,4712

`path` is relative to the folder of the table. `split` is train or test; without the column a part of the images is for
the test. `id` is what requests name an image by; without the column that is its path. The file is UTF-8, or what its
byte-order mark says; spaces around values do not count. `junlearn.datasets.pixels` says how photographs are read.
"""

import csv
import difflib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from junlearn.datasets.config import DatasetConfig, Progress
from junlearn.datasets.decode_files import ImageFile, below
from junlearn.datasets.holdout import by_hash, check_fraction, hashed_out
from junlearn.datasets.image_files import Files, load
from junlearn.datasets.own_ids import doubled, numbers_of
from junlearn.datasets.text_files import lines_of, not_utf8
from junlearn.errors import ConfigError, DataError, unknown
from junlearn.fields import File, Fraction
from junlearn.types import Dataset

__all__ = ["Config", "make"]

NEEDED = ("path", "label")
COLUMNS = (*NEEDED, "split", "id")
OTHER_WORDS = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    "label": ("class", "target", "class_name", "category", "y"),
    "split": ("set", "subset", "partition", "fold", "part"),
    "id": ("ids", "image_id", "key", "identifier"),
}
"""What others call the columns: an error says how they are called here."""
CUTOFF = 0.75
"""How alike (`difflib`) a heading must be to be a slip of the pen."""
TRAIN, TEST = ("train", "training"), ("test", "testing")
VALIDATION = ("val", "valid", "validation")
"""The test images, where there are no others."""


@dataclass(frozen=True, kw_only=True)
class Config(DatasetConfig):
    """A table of image files, `path,label,split,id`; `data_dir` is not read.

    `split` (train, test) and `id` can be left out. Paths are relative to the folder of the table. An image that cannot
    be read is an error. Images are turned as their EXIF data say; transparent pixels are laid on white; of several
    frames the first is taken.

    With `image_size` the images are resized when they are decoded (Pillow, bilinear with antialias), and with `crop`
    cropped then. Colour images are normalised by ImageNet's statistics, grey ones are only scaled to [0, 1].
    """

    file: File = ""
    """The table, with a header."""
    test_fraction: Fraction = 0.2
    """Without the column `split`, about which part becomes `test`: a hash of each id decides."""


class _Row(NamedTuple):
    line: int
    image: ImageFile
    split: str
    id: str


def make(
    config: Config, *, cache_dir: str | None = None, progress: Progress | None = None
) -> Dataset:
    """Load the images of `config.file`, in its order; classes are the labels, sorted.

    Raises ConfigError without a file, or where images differ in size and no `image_size` is given; DataError, with the
    line, for a table that cannot be read, and for an image that is missing, there twice or cannot be read.
    """
    if not config.file:
        raise ConfigError("dataset.file is empty; csv needs a table of images")
    check_fraction(config.test_fraction)
    path = Path(config.file).expanduser().absolute()
    columns, rows, remarks = _read(path)
    if "split" in columns:
        train, test, apart, unused = _divided(rows)
        remarks += unused
    else:
        out = by_hash([row.id.encode() for row in rows], config.test_fraction)
        train = [row for row, tested in zip(rows, out, strict=True) if not tested]
        test = [row for row, tested in zip(rows, out, strict=True) if tested]
        apart = hashed_out(config.test_fraction)
    if not train:
        told = "" if "split" in columns else f" (test_fraction is {config.test_fraction})"
        raise DataError(f"{path} has no training images{told}")
    names = [row.id for row in train + test]
    numbers = numbers_of(names) if "id" in columns else None
    files = Files(
        name=path.stem,
        root=path.parent,
        train=[row.image for row in train],
        test=[row.image for row in test],
        apart=apart,
        names=tuple(names) if numbers is None else (),
        ids=numbers or (),
        remarks=remarks,
    )
    return load(config, files, "table", cache_dir, progress)


def _read(path: Path) -> tuple[tuple[str, ...], list[_Row], tuple[str, ...]]:
    """The columns, the rows and remarks. Raises DataError, with the line, for the first mistake."""
    lines = iter(_records(path))
    line, header = next(lines, (1, []))
    columns = _columns(header, f"{path}, line {line}")
    rows = []
    for line, values in lines:
        here = f"{path}, line {line}"
        if len(values) != len(header):
            raise DataError(
                f"{here} has {len(values)} values and the header {len(header)}: a comma within a value needs quotes "
                "around it"
            )
        rows.append(_row(dict(zip(columns, values, strict=True)), path.parent, line, here))
    if not rows:
        raise DataError(f"{path} has no images: a line with {', '.join(NEEDED)} each is wanted")
    _check_once(rows, path)
    others = tuple(column for column in columns if column not in COLUMNS)
    return columns, rows, (f"left out of {path.name}: {', '.join(others)}",) if others else ()


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank: where each stands, and its values."""
    lines = lines_of(path, f"the table {path}", DataError)
    for number, line in enumerate(lines, start=1):
        if wrong := not_utf8(line):
            raise DataError(f"{path}, line {number}: {wrong}")
        if "\r" in line:
            raise DataError(
                f"{path}, line {number}: a carriage return alone ends no line: save the table with line feeds"
            )
        if not line.strip():
            continue
        try:
            (values,) = csv.reader([line], strict=True, skipinitialspace=True)
        except (csv.Error, ValueError) as error:
            raise DataError(
                f"{path}, line {number}: a quote is not closed, or not alone: {line[:60]}"
            ) from error
        yield number, [value.strip() for value in values]


def _columns(header: Sequence[str], here: str) -> tuple[str, ...]:
    """The headings in small letters. Raises DataError for those that are missing, there twice, or slips of the pen."""
    columns = tuple(heading.casefold() for heading in header)
    wanted = f"a header {','.join(COLUMNS)} is wanted, of which split and id can be left out"
    if len(columns) == 1 and {"path", "label"} <= set(columns[0].replace("\t", ";").split(";")):
        raise DataError(f"{here}: commas are wanted between the columns, and these are others")
    for column in columns:
        if column in COLUMNS:
            continue
        meant = next((name for name, words in OTHER_WORDS.items() if column in words), None)
        near = difflib.get_close_matches(column, COLUMNS, n=1, cutoff=CUTOFF)
        found = meant or (near[0] if near else None)
        if found is not None and found not in columns:
            raise DataError(f"{here}: unknown column {column!r}; did you mean {found!r}?")
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        there = ", ".join(map(repr, header)) or "nothing"
        raise DataError(f"{here}: there is no column {missing[0]!r}, only {there}; {wanted}")
    twice = next((name for name, count in Counter(columns).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{here}: the column {twice!r} is there twice")
    return columns


def _row(values: dict[str, str], folder: Path, line: int, here: str) -> _Row:
    for column in COLUMNS:
        if values.get(column) == "":
            raise DataError(f"{here}: the {column} is empty")
    path = _placed(folder, values["path"])
    if not os.path.isfile(path):
        raise DataError(f"{here}: there is no file {path}")
    split = values.get("split", "train").casefold()
    if split not in (*TRAIN, *TEST, *VALIDATION):
        raise DataError(f"{here}: {unknown('split', values['split'], ('train', 'test'))}")
    image = ImageFile(path, unicodedata.normalize("NFC", values["label"]))
    return _Row(line, image, split, values.get("id", below(folder, path)))


def _placed(folder: Path, name: str) -> Path:
    """Where a file is; the backslashes of a table from Windows are slashes where no file has them in its name."""
    path = Path(os.path.normpath(folder / name))
    if "\\" in name and not os.path.exists(path):
        return Path(os.path.normpath(folder / name.replace("\\", "/")))
    return path


def _check_once(rows: Sequence[_Row], path: Path) -> None:
    """Every id and every file has a line of its own: else an image that was forgotten would stay under another id."""
    for what, texts in (
        ("id", [row.id for row in rows]),
        ("file", [str(row.image.path) for row in rows]),
    ):
        twice = doubled(texts)
        if twice is not None:
            first, second = rows[twice[0]], rows[twice[1]]
            name = second.id if what == "id" else below(path.parent, second.image.path)
            raise DataError(
                f"{path}, line {second.line}: the {what} {name!r} stands on line {first.line} already"
            )


def _divided(rows: Sequence[_Row]) -> tuple[list[_Row], list[_Row], str, tuple[str, ...]]:
    """The rows of both parts, what a test image is, and a remark on validation images beside test images."""
    train = [row for row in rows if row.split in TRAIN]
    test = [row for row in rows if row.split in TEST]
    held = [row for row in rows if row.split in VALIDATION]
    if test and held:
        line = (
            f"left out: {len(held):,} image{'s' * (len(held) > 1)} of the split {held[0].split}, for there is a test "
            "split (validation = 0.1 sets a part of the training images aside)"
        )
        return train, test, "a test image (split = test)", (line,)
    word = "test" if test or not held else held[0].split
    return train, test or held, f"a test image (split = {word})", ()
