"""Download datasets and have TFDS write them in the format that `junlearn.datasets.tfds` reads.

This is the only place that needs TensorFlow, which TFDS's own builders use to read the originals.
"""

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

from junlearn.datasets.stock import STOCK
from junlearn.datasets.tfds import FILE_FORMAT, Prepared, find_prepared, tfds_data_dir
from junlearn.errors import ConfigError, DataError, unknown

__all__ = ["prepare"]

REQUIRED = ("tensorflow", "importlib_resources")
"""What TFDS's builders import and TFDS itself does not install."""

NOTHING_TO_PREPARE = {
    "csv": "reads your own table; nothing to prepare",
    "digits": "comes with scikit-learn; nothing to prepare",
    "image_folder": "reads your own folder; nothing to prepare",
    "npz": "reads your own file; nothing to prepare",
    "tfds_directory": "reads a directory that is prepared already; nothing to prepare",
}


def prepare(names: Iterable[str], data_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Download and prepare the named datasets; one line each on what was written, and where.

    A dataset that is there already is left alone, unless one of its files is missing.
    Raises ConfigError for an unknown name (before anything is downloaded) or without TensorFlow,
    DataError where the download fails or the dataset is there in a format without random access.
    """
    names = list(names)
    for name in names:
        if name not in STOCK and name not in NOTHING_TO_PREPARE:
            raise unknown("dataset", name, [*STOCK, *NOTHING_TO_PREPARE])
    root = tfds_data_dir(None if data_dir is None else os.fspath(data_dir))
    return [
        f"{name}: {NOTHING_TO_PREPARE.get(name) or _prepare_one(name, STOCK[name].tfds_name, root)}"
        for name in names
    ]


def _is_complete(prepared: Prepared) -> bool:
    return all(path.exists() for paths in prepared.splits.values() for path in paths)


def _prepare_one(name: str, tfds_name: str, data_dir: Path) -> str:
    there = find_prepared(data_dir / tfds_name)
    if there is not None and there.file_format != FILE_FORMAT:
        raise DataError(
            f"{name}: {there.directory} is in the format {there.file_format}, which has no random "
            "access; delete it or choose another --data-dir"
        )
    if there is not None and _is_complete(there):
        return f"already prepared in {there.directory}"
    missing = [module for module in REQUIRED if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"{name}: preparing a dataset needs {' and '.join(missing)}: "
            "pip install 'junlearn[prepare]'"
        )
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(tfds_name, data_dir=str(data_dir), file_format=FILE_FORMAT)
        # An incomplete directory is written anew; what was downloaded for it is used again.
        mode = tfds.download.GenerateMode.REUSE_CACHE_IF_EXISTS
        config = tfds.download.DownloadConfig(download_mode=mode)
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # network, disk, checksums: TFDS has no common class
        raise DataError(f"{name}: TFDS could not prepare it in {data_dir}: {error}") from error
    counts = ", ".join(
        f"{split} {info.num_examples:,}" for split, info in builder.info.splits.items()
    )
    return f"wrote {builder.data_dir} ({counts} examples, {FILE_FORMAT})"
