"""`val_annotations.txt` of Tiny-ImageNet: name of a file in `images`, its class and a box a line, with tabs between."""

import unicodedata
from collections.abc import Sequence, Set
from pathlib import Path

from junlearn.datasets.text_files import lines_of, not_utf8
from junlearn.errors import DataError

__all__ = ["ANNOTATIONS", "labels_of"]

ANNOTATIONS = "val_annotations.txt"


def labels_of(annotations: Path, images: Sequence[Path], known: Set[str]) -> dict[Path, str]:
    """The class of each of `images`, which lie in the folder `images` beside the file.

    Raises DataError for a line that cannot be read, names no file or a class that is not `known`, and for an image
    without a line of its own.
    """
    folder = annotations.parent / "images"
    labels: dict[Path, str] = {}
    for number, line in enumerate(lines_of(annotations, str(annotations), DataError), start=1):
        if not line.strip():
            continue
        name, label, *_ = [part.strip() for part in line.split("\t")] + [""]
        here = f"{annotations}, line {number}"
        if not name or not label:
            raise DataError(f"{here}: needed are a file and its class with a tab between them")
        label = unicodedata.normalize("NFC", label)
        if wrong := not_utf8(line):
            raise DataError(f"{here}: {wrong}")
        if label not in known:
            raise DataError(f"{here}: unknown class {label!r}; train has no folder of this name")
        path = folder / name
        if path in labels:
            raise DataError(f"{here}: {name} has a line already")
        if not path.is_file():
            raise DataError(f"{here}: there is no file {path}")
        labels[path] = label
    unlabelled = [path for path in images if path not in labels]
    if unlabelled:
        raise DataError(f"{annotations} has no line for {unlabelled[0].relative_to(folder)}")
    return labels
