"""Images with labels, a dataset in memory, and a request: which of its examples are to be forgotten."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from junlearn.types.aliases import Array, Key

__all__ = [
    "Data",
    "Dataset",
    "Sources",
    "Split",
    "View",
]


class Data(NamedTuple):
    """Images with their labels, one row an example. On the host numpy, in a run resident on the device.

    A tuple checks nothing itself: `junlearn.train` and its neighbours convert what has another form (lists, tensors,
    labels of other number types) and refuse what does not fit.
    """

    x: Any
    """uint8[N,H,W,C], 0 to 255; float arrays are allowed and taken as already scaled."""
    y: Any
    """int32[N]: the label that training sees, from 0 to K - 1."""
    id: Any = None
    """int32[N]: the example's number in the dataset's own numbering, where there is one."""
    fine: Any = None
    """int32[N]: the fine label under a coarse `y` (CIFAR-20), for sub-class scenarios."""
    clean: Any = None
    """int32[N]: the true label, where a scenario has put wrong ones into `y`."""
    triggered: Any = None
    """bool[N]: which images the views show with a backdoor trigger; it is drawn on the device, never stored."""

    def take(self, rows: Any) -> "Data":
        """The examples at `rows`: indices, marks or a slice; a column that is absent stays so."""
        return jax.tree.map(lambda column: column[rows], self)

    @staticmethod
    def from_huggingface(
        dataset: Any,
        image: str | None = None,
        label: str | None = None,
        ids: str | None = None,
        size: int | None = None,
    ) -> "Data | Sources":
        """The images of a Hugging Face dataset; see `junlearn.datasets.huggingface.from_huggingface`."""
        from junlearn.datasets import huggingface

        return huggingface.from_huggingface(dataset, image, label, ids, size)


Sources = dict[str, Data]
"""`"train"`, `"test"`, and where they are needed `"surrogate"` and `"validation"`."""

View = Callable[[Data, Key], Array]
"""`(rows, keys[B]) -> float32[B,H,W,C]`: how gathered rows become network input; one key an example."""


class Dataset(NamedTuple):
    """A dataset in memory, with all that the rest of a run must know about it."""

    name: str
    version: str
    """Version of the source that the arrays were decoded from."""
    fingerprint: str
    """Hash of the arrays: two runs with equal fingerprints saw equal data."""
    sources: Sources
    """`"train"` and `"test"`, host numpy arrays."""
    views: Mapping[str, View]
    """`"eval"`: normalise (and resize); `"augment"`: the same after the training augmentation. A name such as
    `"surrogate/eval"` is the view of that source alone, in the place of `"eval"`."""
    classes: tuple[str, ...]
    """Names of the K classes of `y`."""
    fine_classes: tuple[str, ...] = ()
    """Names of the classes of `fine`; empty if there are none."""
    names: tuple[str, ...] = ()
    """What each example is called, by its `id`, where ids are no numbers: of files the paths below `root`. Those of the
    test set are among them."""
    root: str = ""
    """The folder that files are below."""
    apart: Mapping[str, str] = {}
    """Sources whose `id` is in the numbering of the training set, and what their examples are, for messages:
    `"test"` -> `"a test image (test_fraction = 0.2)"`."""
    preprocessing: Mapping[str, Any] = {}
    """What the views do to pixels in [0, 1] before the network gets them: `mean` and `std` of each channel, the side
    `image_size` that images are resized to and the side `crop` of their central square (None: neither is done)."""
    remarks: tuple[str, ...] = ()
    """What a person should know of how the images were read: what was left out or changed, a line each."""
    decoded: str = ""
    """Hash of the arrays that lie in the cache, where those here are others, made of them."""

    @property
    def marks(self) -> tuple[str, ...]:
        """The hashes by which its images are known in the cache."""
        return (self.fingerprint, *filter(None, [self.decoded]))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of what the network gets."""
        rows = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), self.sources["train"]
        )
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
        return jax.eval_shape(self.views["eval"], rows, keys).shape[1:]


class Split(NamedTuple):
    """Which training examples to forget. Host numpy indices; forget and retain partition `"train"`."""

    forget: np.ndarray
    """int[Nf] into `"train"`."""
    retain: np.ndarray
    """int[Nr] into `"train"`."""
    forget_test: np.ndarray
    """int[] into `"test"`: unseen examples of what is forgotten; empty if that has no meaning (random)."""
    retain_test: np.ndarray
    """int[] into `"test"`: the others."""
    classes: tuple[int, ...] = ()
    """The classes of `y` that are forgotten whole; empty in any other scenario."""
    seed: int = 0
    """Seed of `sample`."""
    manipulated: np.ndarray | None = None
    """int[Nm] into `"train"`: all examples that a scenario manipulated, known (`forget` is among them) and unknown (the
    rest of them is in `retain`). For judging alone: no method may read it."""
    target: int | None = None
    """The label that a backdoor trigger calls for."""

    def sample(self, count: int) -> np.ndarray:
        """int[]: `count` retain examples (all, where there are fewer) drawn without replacement.

        A smaller sample is the beginning of a larger one. D_s of LAF and CaMU: CaMU trains on it (with `repeat`, on
        more than are forgotten), and the attack `asr` takes its members from it; LAF trains on all retain examples.
        """
        return np.random.default_rng(self.seed).permutation(self.retain)[:count]
