"""What metrics read of networks on one request: logits, labels, weights, and what training them on finds.

`junlearn.evaluate` is given its networks, an experiment trains them or reads them back when they are asked for; each
makes an `Evaluator`. All that is about a reference network is computed once for all networks that are compared with it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from junlearn import outputs, relearn
from junlearn.methods import finetune
from junlearn.metrics import Context, Curve, Network, Outputs, Relearned
from junlearn.types import Model, Sources, Split, Variables, View

__all__ = ["Evaluator", "Relearning", "Subject"]

Watch = Callable[[str], AbstractContextManager[Any]]
"""From the label of a network to a context that gives a function for progress, or None."""


def _unwatched(label: str) -> AbstractContextManager[Any]:
    return nullcontext()


class Subject(NamedTuple):
    """A network, and what it is called on the terminal."""

    label: str
    model: Model
    variables: Variables


class Relearning(NamedTuple):
    """How networks are trained on, for the metrics that ask for it."""

    recipe: finetune.Config
    options: dict[str, Any]
    """Keywords of `junlearn.engine.run.run`, `views` and `key` among them; its progress is that of `watch`."""
    augment: bool = False
    """Of training on the retain set."""
    train_view: str = "eval"
    """View of the training examples that are looked at meanwhile."""
    watch: Watch = _unwatched


@dataclass(kw_only=True)
class Evaluator:
    """Makes the Context of each network that is evaluated on one split of the data."""

    sources: Sources
    split: Split
    views: Mapping[str, View]
    references: Mapping[Network, Callable[[], Subject]]
    """Those that are there of "original", "retrain" and "random"."""
    relearning: Relearning
    extra: Sequence[str] = ()
    """Costly splits that a network is asked about."""
    extra_of_references: Sequence[str] = ()
    """Those that the original and the retrained network are asked about: the same, where they are evaluated too."""
    train_view: str = "eval"
    sample: int | None = None
    """|D_s|; None: as many as are forgotten."""
    watch: Watch = _unwatched
    _relearned: dict[tuple[Network, float], Relearned] = field(default_factory=dict)

    @cached_property
    def networks(self) -> dict[Network, Variables]:
        """The weights of the original and of the retrained network, where they are there."""
        roles = [role for role in self.references if role != "random"]
        return {role: self.references[role]().variables for role in roles}

    @cached_property
    def original(self) -> Outputs | None:
        """Outputs of the network before unlearning."""
        return self._reference("original")

    @cached_property
    def retrain(self) -> Outputs | None:
        """Outputs of the network that was trained without the forget set."""
        return self._reference("retrain")

    @cached_property
    def random(self) -> Outputs | None:
        """Outputs of an untrained network."""
        return self._reference("random")

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Those of every split."""
        return outputs.labels(self.sources, self.split, self.views)

    def context(self, subject: Subject, role: Network = "model") -> Context:
        """What metrics read of a network; `role`: which of the references it is itself, if it is one."""
        own: Outputs | None = None if role == "model" else getattr(self, role)
        return Context(
            self._outputs(subject, None, self.extra) if own is None else own,
            self.labels,
            original=self.original,
            retrain=self.retrain,
            random=self.random,
            classes=self.split.classes,
            target=self.split.target,
            clean=outputs.clean(self.sources, self.split, self.views),
            sample=outputs.sample(self.split, self.sample),
            networks=self.networks | {"model": subject.variables},
            relearn=partial(self._relearn_role, subject, role),
            relearn_retain=partial(self._relearn_retain, subject),
        )

    def _reference(self, role: Network) -> Outputs | None:
        if role not in self.references:
            return None
        only = outputs.ZRF_SPLITS if role == "random" else None
        return self._outputs(self.references[role](), only, self.extra_of_references)

    def _outputs(
        self, subject: Subject, only: Sequence[str] | None, extra: Sequence[str]
    ) -> Outputs:
        with self.watch(subject.label) as progress:
            return outputs.outputs(
                subject.model,
                subject.variables,
                self.sources,
                self.split,
                self.views,
                only,
                progress,
                self.train_view,
                extra,
            )

    def _relearn_role(
        self, subject: Subject, own: Network, role: Network, level: float
    ) -> Relearned:
        """What relearning finds for the subject, which is the reference `own` if it is one, or for a reference."""
        role = own if role == "model" else role
        if role == "model":
            return self._relearn(subject, level)
        if (role, level) not in self._relearned:
            self._relearned[role, level] = self._relearn(self.references[role](), level)
        return self._relearned[role, level]

    def _relearn(self, subject: Subject, level: float) -> Relearned:
        how = self.relearning
        with how.watch(subject.label) as progress:
            return relearn.relearn(
                how.recipe,
                subject.model,
                subject.variables,
                self.sources,
                self.split,
                level,
                **how.options | {"progress": progress},
            )

    def _relearn_retain(self, subject: Subject) -> Curve:
        how = self.relearning
        with how.watch(subject.label) as progress:
            return relearn.relearn_retain(
                how.recipe,
                subject.model,
                subject.variables,
                self.sources,
                self.split,
                how.augment,
                how.train_view,
                **how.options | {"progress": progress},
            )
