"""Which files below some folders are images of a dataset, and how many of which kind are not.

* Hidden files and folders (a name that begins with a point) and those that file managers, notebooks, editors, archives
  and storage devices leave (`LEFTOVERS`, `~$*`, `*~`) are out.
* Of the other files those are images whose name has a suffix out of `SUFFIXES`, in letters of either case. A suffix out
  of `UNREADABLE` is an image's too, and an error: such files are converted, or moved out.
* All other files are out: text, tables, films.
* Links to files and folders are followed. What is reached twice, also in a circle, counts once: under its own name
  where it has one below the folders, else under the first link in the order of names. A link that leads nowhere is out.
"""

import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from junlearn.errors import DataError

__all__ = ["Found", "folders_in", "images_below", "left_out"]

# fmt: off
SUFFIXES = frozenset(
    {
        ".apng", ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
        ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
    }
)
# fmt: on
# fmt: off
UNREADABLE = frozenset(
    {
        ".arw", ".cr2", ".cr3", ".dng", ".exr", ".heic", ".heif", ".hif", ".jxl", ".nef", ".nrw", ".orf",
        ".pef", ".raf", ".rw2", ".srw", ".svg",
    }
)
# fmt: on
"""Suffixes of images that cannot be read here."""

LEFTOVERS = frozenset(
    {
        "$recycle.bin",
        "#recycle",
        "#snapshot",
        "@__thumb",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@sharebin",
        "@sharesnap",
        "@tmp",
        "__macosx",
        "__pycache__",
        "desktop.ini",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "icon\r",
        "lost+found",
        "network trash folder",
        "picasa.ini",
        "system volume information",
        "temporary items",
        "thumbs.db",
        "zbthumbnail.info",
    }
)
"""Names, in small letters, of what is no data: Windows, macOS, Synology, QNAP and others make them."""

HIDDEN_FILE, HIDDEN_FOLDER = "hidden file", "hidden folder"
OUTSIDE = "image outside of the class folders"
TWICE = "link to what is there already"
NOWHERE = "link that leads nowhere"
IRREGULAR = "pipe or device"
NO_SUFFIX, STRANGE = "file without suffix", "file of another kind"
PLURALS = {
    HIDDEN_FILE: "hidden files",
    HIDDEN_FOLDER: "hidden folders",
    OUTSIDE: "images outside of the class folders",
    TWICE: "links to what is there already",
    NOWHERE: "links that lead nowhere",
    IRREGULAR: "pipes or devices",
    NO_SUFFIX: "files without suffix",
    STRANGE: "files of other kinds",
}
"""Kinds of what is left out; other kinds are suffixes."""


class Found(NamedTuple):
    """What lies below some folders."""

    images: list[list[Path]]
    """Of each folder, sorted."""
    others: Counter[str]
    """Kind of what was left out -> how many."""


class _Entry(NamedTuple):
    path: Path
    real: str
    """Where it is when all links are followed."""
    folder: int
    """The number of the folder that it is below."""


def images_below(folders: Sequence[Path]) -> Found:
    """The images below each of `folders`, at any depth.

    Raises DataError for a folder that cannot be listed and for an image with a suffix that cannot be read here.
    """
    found = Found([[] for _ in folders], Counter())
    roots = [_Entry(path, os.path.realpath(path), i) for i, path in enumerate(folders)]
    own = [root for root in roots if not root.path.is_symlink()]
    links = [root for root in roots if root.path.is_symlink()]
    # A link to a folder that holds these ones leads in a circle.
    seen = {str(parent) for root in own for parent in Path(root.real).parents}
    for root in own:
        links += _walk(root, seen, found)
    # What has a place of its own is counted there, whatever links to it come before it by name.
    waiting = deque(sorted(links))
    while waiting:
        link = waiting.popleft()
        if link.real in seen:
            found.others[TWICE] += 1
        elif os.path.isdir(link.real):
            waiting.extend(sorted(_walk(link, seen, found)))
        elif os.path.isfile(link.real):
            _take(link, seen, found)
        else:
            found.others[NOWHERE] += 1
    for images in found.images:
        images.sort()
    return found


def folders_in(folder: Path, others: Counter[str]) -> list[Path]:
    """The folders in `folder` that are not hidden, sorted; the files beside them are counted in `others`."""
    folders = []
    for entry in _listed(folder):
        if _hidden(entry, others):
            continue
        if os.path.isdir(entry.path):
            folders.append(folder / entry.name)
        elif entry.is_symlink() and not os.path.exists(entry.path):
            others[NOWHERE] += 1
        elif _is_image(entry.name):
            others[OUTSIDE] += 1
        else:
            others[_kind(entry.name)] += 1
    return sorted(folders)


def left_out(others: Counter[str]) -> tuple[str, ...]:
    """One line on what was left out; none if that is nothing."""
    if not others:
        return ()
    kinds = sorted(others.items(), key=lambda kind: (-kind[1], kind[0]))
    return (
        "left out: "
        + ", ".join(
            f"{count:,} {kind if count == 1 else PLURALS.get(kind, kind)}" for kind, count in kinds
        ),
    )


def _walk(top: _Entry, seen: set[str], found: Found) -> list[_Entry]:
    """Add all below `top` that is reached without a link to `seen` and `found`; the links below it are returned."""
    links = []
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if folder.real in seen:
            continue
        seen.add(folder.real)
        for entry in _listed(folder.path):
            if _hidden(entry, found.others):
                continue
            below = _Entry(
                folder.path / entry.name, os.path.join(folder.real, entry.name), top.folder
            )
            if entry.is_symlink():
                links.append(below._replace(real=os.path.realpath(below.real)))
            elif entry.is_dir():
                waiting.append(below)
            elif entry.is_file():
                _take(below, seen, found)
            else:
                found.others[IRREGULAR] += 1
    return links


def _take(file: _Entry, seen: set[str], found: Found) -> None:
    """Add a file to the images, or count it among the others. Raises DataError where it cannot be read here."""
    if file.real in seen:
        return
    suffix = file.path.suffix.lower()
    if suffix in UNREADABLE:
        raise DataError(
            f"{file.path}: {suffix[1:].upper()} images cannot be read here; convert them to PNG or JPEG, "
            "or move them out of the folder"
        )
    if _is_image(file.path.name):
        seen.add(file.real)
        found.images[file.folder].append(file.path)
    else:
        found.others[_kind(file.path.name)] += 1


def _listed(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}") from error


def _hidden(entry: os.DirEntry[str], others: Counter[str]) -> bool:
    """Whether it is out by its name alone; counted if so."""
    name = entry.name.lower()
    folder = entry.is_dir(follow_symlinks=False)
    editors = not folder and (name.endswith("~") or (name.startswith("#") and name.endswith("#")))
    # Windows keeps further streams of a file under its name and a colon.
    known = name in LEFTOVERS or name.split(":")[0] in LEFTOVERS
    if not (name.startswith((".", "~$")) or known or editors):
        return False
    others[HIDDEN_FOLDER if folder else HIDDEN_FILE] += 1
    return True


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _kind(name: str) -> str:
    """What a file is called that is no image, by its suffix; what only looks like one is no kind of file."""
    suffix = os.path.splitext(name)[1].lower()
    if not suffix:
        return NO_SUFFIX
    return suffix if re.fullmatch(r"\.[a-z0-9_+-]{1,12}", suffix) else STRANGE
