"""Compiled programs that JAX keeps on disk for the next process, each with a seal of our own.

JAX believes whatever lies under a program's key: a program of another key runs in its place, half a file is a warning
of many lines. JAX reads and writes its cache through `etils.epath`, which lets a scheme have a class of its own; the
one here puts before every program a digest of the program and of its key, writes it in one step, and takes none that
does not fit.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import jax
from etils import epath

from junlearn.files import clear_temporaries, keep_damaged, replacing

__all__ = ["keep"]

log = logging.getLogger(__name__)

SCHEME = "junlearn-sealed:"
SEAL = b"junlearn"
SIZE = 16
"""Bytes of the digest, which follow SEAL."""
UNSEALED = (b"\x28\xb5\x2f\xfd", b"\x78")
"""How programs begin that JAX wrote itself, as it did before they were sealed: Zstandard and zlib."""

SAID: set[Path] = set()
"""Directories of which it was said that something in them is damaged: one line for all of it."""


def keep(directory: Path, seconds: float) -> None:
    """Let JAX keep programs that took `seconds` to compile in `directory`, which is made for the first of them."""
    clear_temporaries(directory)
    jax.config.update("jax_compilation_cache_dir", f"{SCHEME}//{directory.absolute()}")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
    # XLA would write these itself, to files without a seal.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")


@epath.register_path_cls(f"{SCHEME}//")
class SealedPath(PurePosixPath):
    """What JAX asks of a path in its cache; `read_bytes` and `write_bytes` are of the content without its seal."""

    def __fspath__(self) -> str:
        return str(self).removeprefix(SCHEME)

    @property
    def file(self) -> Path:
        """Where it is on disk."""
        return Path(self.__fspath__())

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Not yet: a run that ends with a mistake leaves nothing behind."""

    def exists(self) -> bool:
        """Whether there is a file as it was written. One that is not is put aside, which is said once a directory."""
        file = self.file
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return False
        except OSError:
            content = b""
        if _unsealed(self.name, content) is not None:
            return True
        with suppress(OSError):
            if content.startswith(UNSEALED):
                file.unlink()
            else:
                _say(file.parent, file.name)
                keep_damaged(file)
        return False

    def read_bytes(self) -> bytes:
        content = _unsealed(self.name, self.file.read_bytes())
        if content is None:
            raise OSError(f"{self.file} is not as it was written")
        return content

    def write_bytes(self, content: bytes) -> int:
        """Where the file cannot be written the next process compiles again: no other harm is done."""
        with suppress(OSError):
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(self.file) as file:
                file.write(SEAL + _digest(self.name, content) + content)
        return len(content)

    def unlink(self) -> None:
        self.file.unlink()

    def stat(self) -> SimpleNamespace:
        return SimpleNamespace(length=self.file.stat().st_size)

    def glob(self, pattern: str) -> Iterator["SealedPath"]:
        return (self / path.name for path in self.file.glob(pattern))


def _unsealed(name: str, content: bytes) -> bytes | None:
    """The content behind a seal that fits it and its name; None where it does not."""
    start = len(SEAL) + SIZE
    fits = content[:start] == SEAL + _digest(name, content[start:])
    return content[start:] if fits else None


def _digest(name: str, content: bytes) -> bytes:
    return hashlib.blake2b(name.encode() + b"\0" + content, digest_size=SIZE).digest()


def _say(directory: Path, name: str) -> None:
    if directory in SAID:
        return
    SAID.add(directory)
    log.warning(
        "%s: compiled programs are not as they were written (%s); they are kept as NAME.damaged and compiled again",
        directory,
        name,
    )
