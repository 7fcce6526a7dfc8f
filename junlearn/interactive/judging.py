"""Networks of a person, judged on one split of the data: what they are compared with is computed once."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn import relearn
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.networks import are_probabilities, network_of, shapes_of
from junlearn.engine.inputs.options import check_views
from junlearn.engine.showing import Watcher
from junlearn.errors import ConfigError, unknown
from junlearn.experiment.evaluator import Evaluator, Relearning, Subject
from junlearn.methods import finetune
from junlearn.metrics import DEFAULT_METRICS, Metric, Network, compute_with_intervals, costly
from junlearn.metrics.evaluation import Evaluation
from junlearn.metrics.intervals import few
from junlearn.plugins.objects import chosen_metrics
from junlearn.scenarios.split_off import fitting, split_of
from junlearn.types import Data, Model, PyTree, Sources, Split, Variables, View

__all__ = ["Judge", "Numbers"]

Numbers = Variables | Mapping[str, PyTree]
"""Of a network: `Variables`, or Flax's own dict `{"params": ..., "batch_stats": ...}`, plain or frozen."""

PROBABILITIES = (
    "evaluate: the network gives probabilities (no output is negative, every row sums to 1), and metrics and losses "
    "take logits: leave the softmax out of the network"
)


class Judge:
    """What `junlearn.evaluate` is given beside the network, checked; `values` are those of a network.

    `warns`: which call warns of a small forget set, and how many frames above this one it was made; None: none does.
    """

    def __init__(
        self,
        model: Model,
        data: Data | Sources,
        split: Split | np.ndarray | Sequence[int],
        *,
        references: Mapping[Network, Numbers | None],
        reference_model: Model | None = None,
        views: Mapping[str, View] = PLAIN_VIEWS,
        metrics: Sequence[str | Metric] | str = DEFAULT_METRICS,
        train_view: str = "eval",
        relearning: finetune.Config = relearn.DEFAULT,
        watcher: Watcher | None = None,
        warns: tuple[str, int] | None = ("evaluate", 3),
    ) -> None:
        check_views(views)
        if not {train_view, f"train/{train_view}"} & set(views):
            raise unknown("view", train_view, views)
        self.functions = chosen_metrics(metrics)
        if not isinstance(relearning, finetune.Config):
            raise ConfigError("relearning must be a junlearn.methods.finetune.Config")
        self.views = views
        sources, shapes = fitting(model, data, views)
        split = split_of(sources, split, shapes.classes)
        if warns is not None and (warning := few("the forget set", len(split.forget))):
            where, stacklevel = warns
            warnings.warn(f"{where}: {warning}", stacklevel=stacklevel)
        if reference_model is not None:
            shapes = shapes_of(reference_model, sources, views, name="reference_model")
        self.sources = {n: jax.tree.map(jnp.asarray, d) for n, d in sources.items()}
        known = {
            role: Subject(role, reference_model or model, network_of(numbers, shapes, role))
            for role, numbers in references.items()
            if numbers is not None
        }
        watch = Watcher(None) if watcher is None else watcher
        options = {"key": jax.random.key(0), "views": views}

        def following(label: str) -> Any:
            return watch.following(f"{label} relearning", f"{label} relearning")

        self.evaluator = Evaluator(
            sources=self.sources,
            split=split,
            views=views,
            references={role: partial(known.__getitem__, role) for role in known},
            relearning=Relearning(relearning, options, relearning.augment, watch=following),
            extra=costly(self.functions),
            train_view=train_view,
            watch=lambda label: watch.counting(f"{label} evaluating"),
        )

    def values(
        self,
        model: Model,
        variables: Numbers,
        label: str = "model",
        role: Network = "model",
        stacklevel: int = 2,
    ) -> Evaluation:
        """Every metric of a network; `role`: which of the references it is itself, if it is one."""
        shapes = shapes_of(model, self.sources, self.views)
        subject = Subject(label, model, network_of(variables, shapes))
        context = self.evaluator.context(subject, role)
        if are_probabilities(context.model.logits):
            warnings.warn(PROBABILITIES, stacklevel=stacklevel + 1)
        return Evaluation(*compute_with_intervals(context, self.functions))
