"""The pictures of a run: of its records, and of what its networks say, as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from junlearn.errors import JunlearnError
from junlearn.experiment import schema
from junlearn.experiment.records import Record
from junlearn.experiment.revisit import revisit
from junlearn.text.terminal import printable

__all__ = ["draw"]


def draw(
    experiment: Any,
    records: Sequence[Record],
    workdir: Path,
    cache_dir: str | None,
    formats: Sequence[str],
    console: Any,
) -> list[Path]:
    """Draw the records, and what their networks say; returns the files. A network that cannot be asked is named."""
    if not records:
        return []
    from junlearn.reports.pictures.draw import write  # Matplotlib takes a second

    found, lines = None, []
    if jax.process_count() > 1:
        lines.append("the same command with one process draws predictions and embeddings too")
    else:
        try:
            found = revisit(records, schema.plain(experiment), workdir, cache_dir, images=False)
            lines += [f"without a picture of its answers: {line}" for line in found.missing]
        except (JunlearnError, OSError) as error:
            lines.append(f"without pictures of what networks answer: {error}")
    paths = write(records, found, workdir / "plots", formats)
    for line in lines:
        console.print(printable(line), soft_wrap=True)
    return paths
