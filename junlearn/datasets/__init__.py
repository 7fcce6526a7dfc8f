"""Datasets: uint8 images and labels on the host, with the views that a network gets of them.

`DATASETS[name].make(config, *, cache_dir=None, progress=None)` gives a `junlearn.types.Dataset`;
`config` is a `DATASETS[name].Config`, `progress(done, total)` is called while images are decoded.
"""

from junlearn.datasets import digits, image_folder, stock
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
}
