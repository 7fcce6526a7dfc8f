"""The trainings of one call: which models go by one program, in which way, and what has been done."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from junlearn.engine import compiling, finished
from junlearn.engine.abreast import One
from junlearn.engine.batches import PLAIN_VIEWS, view_of
from junlearn.engine.fastest import fastest
from junlearn.engine.inputs.chunks import check_ways, memory_of, models_mesh, sets_of
from junlearn.engine.inputs.options import run_options
from junlearn.engine.lanes import Task
from junlearn.engine.predict import logits
from junlearn.engine.settings import Placement
from junlearn.engine.side_by_side import ManyTrainer
from junlearn.engine.unlearn_each import Walk
from junlearn.errors import ConfigError
from junlearn.parts.recipe import Supervised, length, scheduled
from junlearn.types import Method, Model, Sources, Split, Variables

__all__ = ["Trainings"]

LOOKED_AT = 4
"""Examples that a fresh network answers, so that functions can be told from others."""


class Trainings:
    """The arguments of a call, checked, and what has been done for it."""

    def __init__(
        self,
        make: Callable[[Any], Method],
        config: Supervised,
        model: Model,
        sources: Sources,
        sets: Any,
        *,
        where: str,
        keys: Any,
        seeds: Any,
        views: Any,
        how: Any,
        loop: Any,
        memory: Any,
        progress: Any,
        mesh: Any,
        diverging: Any = "raise",
    ) -> None:
        """`make` gives the method of a recipe; `where` is what the person called."""
        check_ways(how, diverging)
        run_options({"views": views, "loop": loop, "progress": progress, "mesh": mesh})
        self.mesh: Mesh | None = models_mesh(mesh, where)
        self.limit = memory_of(memory, where)
        size = sources["train"].y.shape[0]
        sets, self.keys, self.seeds = sets_of(size, sets, keys, seeds, where)
        none = np.zeros(0, int)
        self.splits = [Split(none, rows, none, none) for rows in sets]
        self.steps = [length(config, len(rows)).made for rows in sets]
        # Weights that are chosen after an epoch want all models at the ends of their epochs together.
        self.chooses = config.keep != "last"
        alike = scheduled(config) or self.chooses
        self.kinds = [length(config, len(rows)) if alike else None for rows in sets]
        self.config, self.model, self.memory = config, model, memory
        self.sources = jax.tree.map(jnp.asarray, sources)
        self.views: Mapping[str, Any] = views or PLAIN_VIEWS
        self.placement = Placement(loop)
        self.progress, self.diverging, self.where = progress, diverging, where
        self.how: str = how
        self.method, self.plain = make(config), make(replace(config, keep="last"))
        self.chunks: list[list[int]] | None = None
        self.places: int | None = None
        self.trainers: dict[Any, ManyTrainer] = {}
        self.chunk = 0
        self.measured: dict[str, float] = {}
        self.seconds = {"compile": 0.0, "measure": 0.0, "run": 0.0, "total": 0.0}
        if self.chooses:
            # A source that is not there is said before anything is trained.
            nothing = Variables({}, {})
            jax.eval_shape(
                lambda: self.method.init(self.keys[0], nothing, self.sources, self.splits[0])
            )

    def fix(self, chunks: list[list[int]] | None, places: int | None) -> None:
        """Train these chunks alone, each in a program of so many places.

        Raises ConfigError for one whose models have no program in common.
        """
        self.chunks, self.places, self.trainers = chunks, places, {}
        for chunk in chunks or ():
            if len({self.kinds[i] for i in chunk}) > 1:
                reads = "its `keep`" if self.chooses else "a schedule"
                raise ConfigError(
                    f"{self.where}: the models {chunk} have different numbers of steps, and {reads} that reads it: "
                    "train them in different chunks"
                )

    def regular(self, wanted: Collection[int], places: int) -> None:
        """Train `wanted`, in chunks that depend on `places` alone: all of 0 to places - 1, and so on."""
        groups: dict[Any, list[int]] = {}
        for i, kind in enumerate(self.kinds):
            groups.setdefault((i // places, kind), []).append(i)
        chunks = [group for group in groups.values() if set(wanted) & set(group)]
        if self.how == "loop":
            chunks = [[i] for i in sorted(wanted)]
        self.fix(chunks, places)

    def named(self) -> tuple[list[dict[str, Any]], Variables]:
        """What determines each of the models, and the shapes of one."""
        example = self.model.example(self.sources)
        shapes = jax.eval_shape(self.model.init, jax.random.key(0), example)
        read = {"train"} | ({self.config.keep.removeprefix("best_")} if self.chooses else set())
        sources = {name: self.sources[name] for name in read}
        rows = [split.retain for split in self.splits]
        view = view_of(self.views, "train", "augment" if self.config.augment else "eval")
        fresh = self.model.fresh(jax.random.key(0), self.sources)
        few = np.arange(min(LOOKED_AT, len(self.sources["train"].y)))
        answers = logits(self.model, fresh, self.sources["train"], few, view=view)
        of = finished.named(self.config, sources, shapes, rows, self.keys, self.seeds, answers)
        return of, shapes

    def each(self) -> Iterator[One]:
        """What is trained, a chunk after the other."""
        done, total = 0, sum(self.steps)
        if self.chunks is not None:
            total = sum(self.steps[i] for chunk in self.chunks for i in chunk)
        for members, lists in self._groups():
            if self.how == "auto":
                self._choose(members)
            for ones in (self._best if self.chooses else self._last)(members, lists):
                done += sum(self.steps[one.number] for one in ones)
                if self.progress is not None:
                    self.progress(done, total)
                yield from ones

    def _choose(self, members: list[int]) -> None:
        """Take the fastest way of training for the models `members` and all that follow."""
        shapes = tuple((a.shape, str(a.dtype)) for a in jax.tree.leaves(self.sources["train"]))
        kind = jax.devices()[0].device_kind
        count, scan = self.places or len(members), self.placement.scans
        asked = (kind, self.model, self.config, shapes, count, scan, self.memory, self.mesh)
        self.how, self.measured = fastest(self._trainer(members), asked)

    def _groups(self) -> Iterator[tuple[list[int], list[list[int]]]]:
        """The models that go by one program, and the lists that they are trained in: those with most steps first, or
        the chunks in the order given.
        """
        if self.chunks is None:
            groups: dict[Any, list[int]] = {}
            # The largest group first: what is chosen for it, the others follow.
            for i, kind in enumerate(self.kinds):
                groups.setdefault(kind, []).append(i)
            for members in sorted(groups.values(), key=len, reverse=True):
                members = sorted(members, key=lambda i: -self.steps[i])
                yield members, [members]
            return
        for _, same in groupby(self.chunks, lambda chunk: self.kinds[chunk[0]]):
            lists = list(same)
            yield lists[0], lists

    def _last(self, members: list[int], lists: list[list[int]]) -> Iterator[list[One]]:
        """The models with their last weights."""
        trainer = self._trainer(members)
        for ones in trainer.train(self.how, lists):
            self.chunk = max(self.chunk, min(trainer.size(self.how), sum(map(len, lists))))
            yield ones

    def _best(self, members: list[int], lists: list[list[int]]) -> Iterator[list[One]]:
        """The models with the weights that `keep` chooses."""
        task = Task(
            *(self.method, self.model, self.sources, self.views, self.splits),
            *(lambda number: Variables({}, {}), None, self.keys, self.seeds),
            self.placement._replace(mesh=self.mesh),
            mixed=True,
        )
        fixed = None if self.chunks is None else lists
        walk = Walk(task, fixed, self.places, self.limit, self.diverging)
        numbers = [i for part in lists for i in part]
        ones = walk.each(numbers, self.how)
        while True:
            with compiling.measured() as compilation:
                one = next(ones, None)
            self.seconds["compile"] += compilation.seconds
            if one is None:
                return
            self.seconds["run"] += one.seconds
            self.chunk = max(self.chunk, min(walk.size, len(numbers)))
            yield [one]

    def _trainer(self, members: list[int]) -> ManyTrainer:
        kind = self.kinds[members[0]]
        if kind not in self.trainers:
            self.trainers[kind] = ManyTrainer(
                self.plain,
                self.sources,
                views=self.views,
                splits=self.splits,
                keys=self.keys,
                seeds=self.seeds,
                steps=self.steps,
                members=members,
                places=self.places,
                scan=self.placement.scans,
                memory=self.limit,
                seconds=self.seconds,
                diverging=self.diverging,
                mesh=self.mesh,
            )
        return self.trainers[kind]
