"""Datasets: uint8 images and labels on the host, with the views that a network gets of them.

`DATASETS[name].make(config, *, cache_dir=None, progress=None)` gives a `junlearn.types.Dataset`;
`config` is a `DATASETS[name].Config`, `progress(done, total)` is called while images are decoded.

A dataset knows nothing of networks and requests. It imports the contract, files, and of the engine the augmentation
that its views use.

Read `digits` first, the shortest, then `config`, the fields that all share, and `stock` for those of TFDS.
"""

from junlearn.datasets import csv_table, digits, image_folder, npz_file, stock
from junlearn.types import Component

__all__ = ["DATASETS"]

DATASETS: dict[str, Component] = {
    "digits": Component(
        "handwritten digits, 8x8 grey, 10 classes, 1,437/360, bundled: no download",
        digits.Config,
        digits.make,
    ),
    **stock.COMPONENTS,
    "image_folder": Component(
        "your own images, one folder a class; Tiny-ImageNet", image_folder.Config, image_folder.make
    ),
    "csv": Component(
        "your own images, named with their labels in a table", csv_table.Config, csv_table.make
    ),
    "npz": Component(
        "your own arrays in one file: x_train, y_train, x_test, y_test, ids",
        npz_file.Config,
        npz_file.make,
    ),
}
