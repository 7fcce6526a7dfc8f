"""What the metadata of a prepared TFDS directory may name: TFDS would import what stands there, and open it.

`features.json` holds names of Python classes, and TFDS imports their modules. Here only TFDS's own features that sets
of images consist of may stand, and only plain file names, so that a directory from elsewhere runs no code and leads to
no other directory.
"""

import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from junlearn.errors import DataError

__all__ = ["FEATURES", "check_features", "shard_names"]

PACKAGE = "tensorflow_datasets.core.features."

FEATURES = frozenset(
    PACKAGE + name
    for name in (
        "bounding_boxes.BBoxFeature",
        "class_label_feature.ClassLabel",
        "dataset_feature.Dataset",
        "features_dict.FeaturesDict",
        "image_feature.Image",
        "labeled_image.LabeledImage",
        "scalar.Scalar",
        "sequence_feature.Sequence",
        "tensor_feature.Tensor",
        "text_feature.Text",
    )
)
"""Classes that may be built."""

CLASS_KEYS = ("pythonClassName", "python_class_name", "type")
"""Under which TFDS finds the name of a class; the last is its form of some years ago."""

NAMES_KEYS = ("features", "content")
"""Under which features stand by their names, which become parts of file names."""

DEPTH = 64
"""Levels that metadata may have."""

PATTERN = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


def check_features(text: str) -> None:
    """Raise DataError where `features.json` names a class that is not one of `FEATURES`, or a feature with a path."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise DataError("features.json is not a JSON object")
    for key, value in _entries(content):
        named = key in CLASS_KEYS and not isinstance(value, dict)
        if named and not (isinstance(value, str) and value in FEATURES):
            raise DataError(
                f"features.json names the class {value!r}, and only TFDS's own features for images are built"
            )
        if key in NAMES_KEYS and isinstance(value, dict):
            for name in value:
                if not _plain(name):
                    raise DataError(f"features.json names a feature {name!r}, which is a path")


def shard_names(info: Mapping[str, Any], split: Mapping[str, Any]) -> list[str]:
    """File names of the shards of a split. Raises DataError for what is no plain name in the same directory."""
    count = len(split.get("shardLengths", ()))
    template = split.get("filepathTemplate", PATTERN)
    values = {
        "DATASET": info["name"],
        "SPLIT": split["name"],
        "FILEFORMAT": info.get("fileFormat", "tfrecord"),
        "NUM_SHARDS": f"{count:05d}",
    }
    allowed = {*values, "SHARD_INDEX", "SHARD_X_OF_Y"}
    for _, field, width, conversion in string.Formatter().parse(template):
        if field is not None and (field not in allowed or width or conversion):
            raise DataError(f"dataset_info.json has the pattern {template!r} for file names")
    names = [
        template.format(**values, SHARD_INDEX=f"{i:05d}", SHARD_X_OF_Y=f"{i:05d}-of-{count:05d}")
        for i in range(count)
    ]
    for part in (values["DATASET"], values["SPLIT"], *names):
        if not isinstance(part, str) or not _plain(part):
            raise DataError(f"dataset_info.json leads to the file {part!r}, which is a path")
    return names


def _plain(name: str) -> bool:
    """Whether a name can only be a file of the directory itself."""
    return Path(name).name == name and "\\" not in name and "\0" not in name and name != ".."


def _entries(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every key and value of a JSON tree, of the trees that it holds as text, too."""
    if depth > DEPTH:
        raise DataError(f"features.json has more than {DEPTH} levels")
    if isinstance(value, list):
        for item in value:
            yield from _entries(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            # TFDS reads it as the content of a feature.
            nested = json.loads(item) if key == "json" and isinstance(item, str) else item
            yield from _entries(nested, depth + 1)
    elif isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        # Older forms hold a feature's content as text.
        yield from _entries(_parsed(value), depth + 1)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
