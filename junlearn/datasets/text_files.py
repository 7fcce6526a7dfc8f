"""Lists that people write, on whatever system: the lines of a text file."""

import codecs
from pathlib import Path

from junlearn.errors import JunlearnError

__all__ = ["lines_of", "not_utf8"]

MARKS = (
    # UTF-32's mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def lines_of(path: Path, what: str, error: type[JunlearnError]) -> list[str]:
    """The lines of a file, which end in a line feed, or in a carriage return and a line feed, and in nothing else.

    UTF-8, or what a byte-order mark says. Bytes that are no UTF-8 come back as Python's surrogate escapes: file names
    can be of such bytes, so whoever does not know a line asks `not_utf8`. Raises `error`, which names the file by
    `what`, for a file that cannot be read or is no text.
    """
    try:
        content = path.expanduser().read_bytes()
    except OSError as reason:
        raise error(f"cannot read {what}: {reason.strerror}") from reason
    except (ValueError, RuntimeError) as reason:  # a NUL in the path, a home that nobody has
        raise error(f"cannot read {what}: {reason}") from reason
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding, "surrogateescape" if "8" in encoding else "strict")
    except UnicodeDecodeError as reason:
        raise error(f"{what} is not a text file: {reason}") from reason
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise error(
            f"{what} is not a text file, or one in UTF-16: line {number} has a NUL character; save it as UTF-8"
        )
    return [line.removesuffix("\r") for line in text.split("\n")]


def not_utf8(line: str) -> str:
    """What is wrong with a line of `lines_of` that holds bytes which are no UTF-8; empty if it holds none."""
    byte = next((ord(character) for character in line if "\udc80" <= character <= "\udcff"), None)
    if byte is None:
        return ""
    return f"byte 0x{byte - 0xDC00:02x} is not UTF-8: save the file as UTF-8"
