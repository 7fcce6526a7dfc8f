"""Images for the page of an audit: of what was forgotten, and of the examples that tell most."""

import numpy as np

from junlearn.audit.inquiry import Inquiry

__all__ = ["pictures"]

SAMPLE = 24
"""Images of what was forgotten, evenly over the forget set."""


def pictures(inquiry: Inquiry, rows: np.ndarray, exposed: np.ndarray) -> dict[str, np.ndarray]:
    """`label` int[n] of `rows`, `images` uint8[6,H,W,C] of the exposed ones, `sample_images` and `sample_labels`.

    `exposed` are places in `rows`. Data that are no images of bytes have no pictures.
    """
    train = inquiry.sources["train"]
    labels = np.asarray(train.y)
    found = {"label": labels[rows]}
    if train.x.ndim != 4 or np.dtype(train.x.dtype) != np.uint8:
        return found
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int))]
    found["images"] = np.asarray(train.x[rows[exposed]])
    found["sample_images"] = np.asarray(train.x[some])
    found["sample_labels"] = labels[some]
    return found
