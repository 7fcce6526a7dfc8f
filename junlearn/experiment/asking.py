"""What networks say of single examples: predictions, confidences and embeddings, for pictures and reports.

All networks are asked about the same examples. Of large sets a sample is drawn, so that what is kept stays small.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from junlearn import outputs
from junlearn.engine import predict
from junlearn.engine.batches import view_of
from junlearn.metrics.probabilities import logit_scaled_confidence
from junlearn.types import Model, Sources, Split, Variables, View

__all__ = ["Answers", "Asked", "Asking", "Images", "asking"]

FORGOTTEN, RETAINED = 300, 900
"""Most examples of each kind whose embeddings are taken, drawn at random."""
CONFIDENT = 2000
"""Most examples of each kind whose confidences are taken, drawn at random."""


class Asked(NamedTuple):
    """What one network says."""

    role: str
    label: str
    test: np.ndarray | None
    """int[N]: its class for each test example; None where there is no test set."""
    forget: np.ndarray
    """int[Nf]: its class for each forgotten example."""
    pictured: np.ndarray
    """float[n,K]: probabilities for the forgotten images that are shown."""
    embedding: np.ndarray | None
    """float32[M,D]: what the head reads, for the sample; None where the network does not tell it."""
    margins: Mapping[str, np.ndarray] = {}
    """float64[n]: how sure it is of the label, `z_y - logsumexp_{j != y} z_j`, of "retain" and "forget" training
    examples, of "unseen" test examples, and where classes are removed of the unseen ones of these classes,
    "unseen_forgotten"."""


class Images(NamedTuple):
    """A few of the forgotten images."""

    pixels: np.ndarray
    """uint8[n,H,W,C]."""
    names: tuple[str, ...]
    """Their ids or rows, as the request names them."""
    labels: np.ndarray
    """int[n]."""


class Answers(NamedTuple):
    """What several networks say of the same examples."""

    classes: tuple[str, ...]
    """Names of the K classes."""
    test_labels: np.ndarray
    """int[N]."""
    forget_labels: np.ndarray
    """int[Nf]: as the original was trained on them."""
    images: Images | None
    sample_labels: np.ndarray
    """int[M]: of the examples whose embeddings were taken."""
    sample_forgotten: np.ndarray
    """bool[M]."""
    networks: tuple[Asked, ...]
    missing: tuple[str, ...] = ()
    """What could not be asked, and why, a line each."""
    copies: tuple[str, ...] = ()
    """Where the forgotten images are still, in words."""


class Asking(NamedTuple):
    """The examples that every network is asked about."""

    sources: Sources
    split: Split
    views: Mapping[str, View]
    train_view: str
    sample: np.ndarray
    """int[M] into "train": of these the embeddings."""
    places: np.ndarray
    """int[n] into the forget set: of these all probabilities."""
    confident: Mapping[str, tuple[str, np.ndarray]]
    """Kind of `Asked.margins` -> split, and int[n] into the logits of the split."""

    def ask(self, role: str, label: str, model: Model, variables: Variables) -> Asked:
        """What a network says about them."""
        split = self.split._replace(retain=self._retained())
        logits = outputs.outputs(
            model,
            variables,
            self.sources,
            split,
            self.views,
            only=("forget_train", "retain_train", "test", "retain_test", "forget_test"),
            train_view=self.train_view,
        ).logits
        labels = outputs.labels(self.sources, split, self.views)
        forget = logits["forget_train"]
        margins = {
            kind: logit_scaled_confidence(logits[name][rows], labels[name][rows].astype(int))
            for kind, (name, rows) in self.confident.items()
        }
        return Asked(
            role,
            label,
            logits["test"].argmax(-1) if "test" in logits else None,
            forget.argmax(-1),
            np.asarray(jax.nn.softmax(forget[self.places].astype(np.float64))),
            self._embedding(model, variables),
            margins,
        )

    def answers(
        self,
        classes: Sequence[str],
        networks: Sequence[Asked],
        images: Images | None = None,
        missing: Sequence[str] = (),
        copies: Sequence[str] = (),
    ) -> Answers:
        """All that networks say, with the labels of the examples."""
        labels = np.asarray(self.sources["train"].y)
        tests = self.sources.get("test")
        return Answers(
            tuple(classes),
            np.zeros(0, int) if tests is None else np.asarray(tests.y),
            labels[self.split.forget],
            images,
            labels[self.sample],
            np.isin(self.sample, self.split.forget),
            tuple(networks),
            tuple(missing),
            tuple(copies),
        )

    def _retained(self) -> np.ndarray:
        """int[n] into "train": the retained examples whose confidences are taken."""
        return _drawn(self.split.retain, CONFIDENT)

    def _embedding(self, model: Model, variables: Variables) -> np.ndarray | None:
        view = view_of(self.views, "train", "eval")
        try:
            return predict.embeddings(
                model, variables, self.sources["train"], self.sample, view=view
            )
        except KeyError:
            return None


def asking(
    sources: Sources,
    split: Split,
    views: Mapping[str, View],
    train_view: str = "eval",
    places: np.ndarray | None = None,
) -> Asking:
    """What to ask about a request: examples of each kind, drawn once; `places` of the forget set are pictured."""
    rng = np.random.default_rng(0)
    parts = ((split.forget, FORGOTTEN), (split.retain, RETAINED))
    drawn = [rng.choice(rows, min(most, len(rows)), replace=False) for rows, most in parts]
    counts = {"retain_train": min(len(split.retain), CONFIDENT), "forget_train": len(split.forget)}
    kinds = {"retain": "retain_train", "forget": "forget_train"}
    if "test" in sources and len(split.retain_test) and len(split.forget_test):
        kinds |= {"unseen": "retain_test", "unseen_forgotten": "forget_test"}
        counts |= {"retain_test": len(split.retain_test), "forget_test": len(split.forget_test)}
    elif "test" in sources:
        kinds["unseen"] = "test"
        counts["test"] = sources["test"].y.shape[0]
    return Asking(
        sources,
        split,
        views,
        train_view,
        np.sort(np.concatenate(drawn)),
        np.zeros(0, int) if places is None else places,
        {
            kind: (name, _drawn(np.arange(counts[name]), CONFIDENT))
            for kind, name in kinds.items()
            if counts[name]
        },
    )


def _drawn(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, at random, in their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
