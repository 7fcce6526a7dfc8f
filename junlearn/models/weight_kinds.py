"""What a file that should hold weights is, by its first bytes: one that can be read, or what else and what to do."""

import zipfile
from pathlib import Path
from typing import Literal

from junlearn.errors import CheckpointError, ConfigError

__all__ = ["SAVE", "SUFFIXES", "kind_of"]

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")

SAVE = "torch.save(model.state_dict(), 'weights.pt')"

STARTS = {
    b"version https://git-lfs": "a pointer of Git LFS in the place of the file: `git lfs pull` gets it",
    b"\x89HDF": "an HDF5 file (Keras): load it there and save its arrays under PyTorch's names",
    b"\x93NUMPY": "a single numpy array: a network has many, by name",
    b"GGUF": "a GGUF file of a quantised network: take the original weights",
    b"\x1f\x8b": "compressed (gzip): unpack it first",
    b"BZh": "compressed (bzip2): unpack it first",
    b"7z\xbc\xaf": "compressed (7z): unpack it first",
    b"\xfd7zXZ": "compressed (xz): unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed (zstd): unpack it first",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"%PDF": "a PDF document",
}
"""First bytes of files that hold no weights in a form that can be read, and what they are."""

ARRAYS = "save its arrays under PyTorch's names with safetensors.numpy.save_file"

BY_SUFFIX = {
    ".onnx": f"from the network in PyTorch: {SAVE}",
    ".msgpack": ARRAYS,
    ".h5": ARRAYS,
    ".hdf5": ARRAYS,
    ".keras": ARRAYS,
    ".npz": ARRAYS,
    ".npy": ARRAYS,
    ".tflite": "take the original weights",
    ".pb": ARRAYS,
}
"""Suffixes of other programs, and remedies."""


def kind_of(path: Path) -> Literal["safetensors", "torch"]:
    """What reads the file at `path`; the content counts, not the suffix.

    Raises CheckpointError for what is no file of weights, and ConfigError for a file of another program.
    """

    def refused(what: str) -> CheckpointError:
        return CheckpointError(f"weights {path}: this is {what}")

    if path.suffix in BY_SUFFIX:
        raise _of_another_program(path)
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise refused(f"an empty file: get it again, or save it again: {SAVE}")
    if not head.strip(b"\0") and len(head) > 8:
        raise refused("a file of zeros: its content is lost, get or save it again")
    for start, what in STARTS.items():
        if head.startswith(start):
            raise refused(what)
    if head.startswith(b"PK"):
        return _kind_of_archive(path)
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and (path.suffix == ".safetensors" or length < path.stat().st_size):
        return "safetensors"
    if head[257:262] == b"ustar":
        raise refused(
            f"a tar archive: unpack it; if PyTorch before 0.2 wrote it, load it in PyTorch and {SAVE}"
        )
    if _is_text(head):
        raise refused(_kind_of_text(path, head))
    if path.suffix == ".safetensors":
        return "safetensors"
    # A pickle of protocol 2 or later is PyTorch's form before 1.6, under whatever name.
    if path.suffix in SUFFIXES or head[:1] == b"\x80":
        return "torch"
    raise _of_another_program(path)


def _of_another_program(path: Path) -> ConfigError:
    remedy = BY_SUFFIX.get(path.suffix, f"in PyTorch: {SAVE}")
    return ConfigError(f"weights {path}: a file of kind {', '.join(SUFFIXES)} is needed; {remedy}")


def _kind_of_archive(path: Path) -> Literal["torch"]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"weights {path}: it is damaged or was cut off ({error}): get or save it again"
        ) from error
    inner = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in inner or any("/code/" in name for name in names):
        raise CheckpointError(
            f"weights {path}: this is a TorchScript program, and code in a file is never run; "
            f"in PyTorch: model = torch.jit.load(FILE); {SAVE}"
        )
    if "data.pkl" in inner:
        return "torch"
    if any(name.endswith(".npy") for name in inner):
        raise ConfigError(f"weights {path}: this is an archive of numpy arrays: {ARRAYS}")
    raise CheckpointError(
        f"weights {path}: this is a zip archive without PyTorch's data.pkl; unpack it, or {SAVE}"
    )


def _is_text(head: bytes) -> bool:
    """Whether a file begins as text; a character that is cut off at the end of `head` does not matter."""
    text = head.decode("utf-8", "ignore").lstrip("\ufeff")
    whole = len(text.encode()) >= len(head) - 6
    return whole and all(c.isprintable() or c in "\r\n\t\f" for c in text)


def _kind_of_text(path: Path, head: bytes) -> str:
    """What a file of text is."""
    start = head.decode("utf-8", "ignore").lstrip("\ufeff \r\n\t")
    if start[:1] == "<":
        return "a web page or XML: the download gave this in the place of the file; fetch the file itself"
    if start[:1] in "{[":
        if path.name.endswith(".index.json") or '"weight_map"' in start:
            return (
                "the index of weights in several files; put them into one: "
                "model.save_pretrained(FOLDER, max_shard_size='100GB')"
            )
        return "JSON, such as a configuration: name the file of weights that belongs to it"
    return f"text, not weights ({start.splitlines()[0][:40]!r}): get the file again, or {SAVE}"
