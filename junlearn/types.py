"""The contract: what a model, a dataset, a split, a feed and a method are.

Shape vocabulary: N examples, B batch, T steps, K classes, D features, S seeds, H W C image axes.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "Array",
    "Batch",
    "Component",
    "Data",
    "Dataset",
    "Feed",
    "Key",
    "Method",
    "Metrics",
    "Model",
    "Preset",
    "PyTree",
    "Sources",
    "Split",
    "Stage",
    "Variables",
    "View",
]

Array = jax.Array
Key = jax.Array
PyTree = Any
Metrics = dict[str, Array]


class Variables(NamedTuple):
    """All numbers of a network: what an optimiser changes, and what a forward pass in train mode changes."""

    params: PyTree
    stats: PyTree
    """BatchNorm running statistics; `{}` if the network has none."""

    @staticmethod
    def from_linen(collections: "Variables | Mapping[str, PyTree]") -> "Variables":
        """Flax's dict `{"params": ..., "batch_stats": ...}`; see `junlearn.models.linen.variables_of`."""
        from junlearn.models import linen

        return linen.variables_of(collections)

    def to_linen(self) -> dict[str, PyTree]:
        """Flax's dict of collections: what `module.apply` of a Linen module takes."""
        return {"params": self.params, **self.stats}

    @staticmethod
    def from_nnx(module: Any) -> "Variables":
        """The arrays of a Flax NNX module; see `junlearn.models.nnx.variables_of`."""
        from junlearn.models import nnx

        return nnx.variables_of(module)

    def into_nnx(self, module: Any) -> None:
        """Put the arrays into a Flax NNX module; see `junlearn.models.nnx.update`."""
        from junlearn.models import nnx

        nnx.update(module, self)


class Model(NamedTuple):
    """All that a method sees of a network: two pure functions and the order of its layers."""

    init: Callable[[Key, Array], Variables]
    """`(key, x[1,H,W,C]) -> Variables`."""
    apply: Callable[..., tuple[Array, dict[str, Array], PyTree]]
    """`(variables, x[B,H,W,C], *, train=False, key=None, mask=None) -> (logits[B,K], features, stats)`.

    `features["embedding"]` is what the head reads. With `train=True` BatchNorm uses the statistics of the
    batch, taken over the rows where `mask` is True, and `stats` are the updated running statistics. A collection of
    names out of `layers` in the place of True: these layers are in train mode, the others in eval mode.
    """
    layers: tuple[str, ...] = ()
    """Top-level groups of `params`, input to output; the last one is the head."""
    depths: tuple[int, ...] = ()
    """Weight layers in each of `layers`, shortcuts not counted, for "the last k layers"; empty: one each."""
    input_shape: tuple[int, int, int] | None = None
    """(H, W, C) that `apply` takes, where the stored images have another size (they are resized); else None."""
    examplewise: Callable[..., Callable[[PyTree], Array] | None] | None = None
    """`(variables, x[B,H,W,C], power) -> (params -> logits[B,K]) | None`: the network in eval mode on `x` with another
    derivative. Where a backward pass would give the gradient of a sum over examples, it gives the sum over them of
    |gradient of the example|^power (1 or 2). None, here or of a call: not known; see `junlearn.parts.gradients`."""

    def example(self, sources: "Sources") -> Array:
        """Zeros [1,H,W,C] of the shape that the network takes: what `init` wants."""
        return jnp.zeros((1, *(self.input_shape or sources["train"].x.shape[1:])))

    def fresh(self, key: Key, sources: "Sources") -> Variables:
        """A newly initialised network, drawn in one compiled program."""
        return jax.jit(self.init)(key, self.example(sources))

    def num_classes(self, variables: Variables, sources: "Sources") -> int:
        """K, the number of logits."""
        return jax.eval_shape(self.apply, variables, self.example(sources))[0].shape[-1]

    @staticmethod
    def from_linen(
        module: Any,
        *,
        layers: tuple[str, ...] | None = None,
        input_shape: tuple[int, int, int] | None = None,
    ) -> "Model":
        """Wrap a Flax Linen module; see `junlearn.models.linen.from_linen`."""
        from junlearn.models import linen

        return linen.from_linen(module, layers=layers, input_shape=input_shape)

    @staticmethod
    def from_nnx(make: Callable[[Any], Any], *, layers: tuple[str, ...] | None = None) -> "Model":
        """Wrap a factory of Flax NNX modules; see `junlearn.models.nnx.from_nnx`."""
        from junlearn.models import nnx

        return nnx.from_nnx(make, layers=layers)


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
    """Of examples that are files: the path of each below `root`, by its `id`; those of the test set are among them."""
    root: str = ""
    """The folder that `names` are below."""
    apart: Mapping[str, str] = {}
    """Sources whose `id` is in the numbering of the training set, and what their examples are, for messages:
    `"test"` -> `"a test image (test_fraction = 0.2)"`."""
    remarks: tuple[str, ...] = ()
    """What a person should know of how the images were read: what was left out or changed, a line each."""

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


class Feed(NamedTuple):
    """One epoch of batches as indices: T steps of B rows, padded with `mask` False."""

    index: np.ndarray  # type: ignore[assignment]  # the name of a tuple method, kept for its meaning
    """int32[T,B] into the source."""
    mask: np.ndarray
    """bool[T,B]: False where a row only fills the batch."""
    source: str = "train"
    view: str = "eval"
    slot: np.ndarray | None = None
    """int32[T,B]: each row's place in a table that the method made once, where there is one. A row with a slot looks
    the same in every epoch: the view's randomness is keyed by slot and example instead of epoch and example."""


class Batch(NamedTuple):
    """What a step gets: normalised (augmented, triggered) images and their labels."""

    x: Array
    """float32[B,H,W,C]."""
    y: Array
    """int32[B]."""
    index: Array  # type: ignore[assignment]
    """int32[B] into the source."""
    mask: Array
    """bool[B]."""
    slot: Array | None = None
    """int32[B] where the feed has slots."""


class Stage(NamedTuple):
    """One phase of a method: a pure step and the data that it is fed."""

    name: str
    step: Callable[[PyTree, PyTree], tuple[PyTree, Metrics]]
    """`(state, batch) -> (state, metrics)`; `batch` has the shape of the feed's tree with a Batch at each Feed.
    A metric that is NaN or infinite ends the run as diverged, whatever it is called."""
    feed: Callable[[np.random.Generator, PyTree], PyTree]
    """`(rng, state) -> PyTree[Feed]`: one epoch, drawn on the host when the epoch starts. It may read of the
    state only what the steps of an epoch leave alone, so that a resumed epoch is drawn again the same."""
    epochs: int = 1
    until: Callable[[PyTree, Callable[..., dict[str, float]]], bool] | None = None
    """`(state, evaluate) -> bool`: True ends the stage. `evaluate(variables, indices, source="train")`
    gives `{"accuracy", "loss"}`."""
    check_every: int | None = None
    """Steps between two questions to `until`; None: at the end of every epoch."""


class Method(NamedTuple):
    """An unlearning algorithm: it never loops, logs, evaluates or saves; `junlearn.engine.run` does."""

    init: Callable[[Key, Variables, Sources, Split], PyTree]
    """`(key, variables, sources, split) -> State`; cheap: passes over the data are stages."""
    plan: Callable[[Split], list[Stage]]
    finish: Callable[[PyTree], Any]
    """`(state) -> Variables`, or `(Model, Variables)` where the network itself changed."""
    with_initial: Callable[[PyTree, Variables], PyTree] | None = None
    """`(state, initial) -> State`, between `init` and the first stage, of a method that needs the weights which the
    original's training began from; None: it does not."""
    with_pixel: Callable[[PyTree, Array, Array], PyTree] | None = None
    """`(state, black[1,1,1,C], white[1,1,1,C]) -> State`, before the first stage, of a method that moves images by so
    many parts of a pixel's range, or only within it: the network's input at a black and at a white pixel."""
    report: Callable[[PyTree], Mapping[str, Array]] | None = None
    """`(state) -> {name: number}`, after the last stage: what the method itself knows of its run and the record holds
    among the metrics, such as `sisa/repeated`."""
    idle: Callable[[Split], str] | None = None
    """`(split) -> text`: why these settings do nothing to any network on this request, empty where that is not known
    beforehand. It explains the line that tells that a method changed nothing."""
    read_at_finish: frozenset[str] = frozenset()
    """Fields of the Config that `finish` alone reads. Runs of the method that differ in no other field have the same
    stages, which an experiment carries out once for all of them."""
    beginning: Any | None = None
    """A Config of the same method with whose stages these settings begin, one for one; None: there is none. An
    experiment that has run it goes on from where it ended."""


class Component(NamedTuple):
    """An entry of the registries of models, datasets and scenarios."""

    summary: str
    Config: type
    make: Callable[..., Any]
    manipulates: bool = False
    """Of a scenario: it changes the training data too, and `make` returns `(Dataset, Split)`."""
    request: tuple[str, ...] = ()
    """Of a scenario that manipulates: the fields of its Config that only choose what is forgotten, and which the
    original network does not depend on."""


class Preset(NamedTuple):
    """Named settings of a method, such as those of another paper or of a released code."""

    summary: str
    fields: Mapping[str, Any]
    """Fields of the method's Config; all others are at their defaults."""
