"""RUM: refine the request by how much its examples are memorised, then let other methods unlearn group after group.

Setting: forget images and labels for the scores, unless a file has them; beside it what the parts read.

    (1)  m_i = a score of memorisation of every example i of D_f:  of the file `scores`, or
         m_i = - softmax(f_theta0(x_i))_{y_i},  eval mode:  what the original is sure of is memorised least
    (2)  F_1 .. F_n = D_f sorted by m (order="rising": least first), cut into n groups whose sizes differ by one
    (3)  theta_k = part k, from theta_{k-1}, with the request F_k and the retain set
             D_r                          later_groups="exclude"
             D_r and F_{k+1} .. F_n       later_groups="include": these are still trained on, as released

A part is a method with settings in one text: its name or that of a preset, then `field=value` pairs, such as
"finetune epochs=10 learning_rate=0.1". In a configuration and on the command line:

    parts = ["naive", "finetune epochs=10 learning_rate=0.1", "salun epochs=5 learning_rate=0.1"]
    --method.rum.parts naive "finetune epochs=10 learning_rate=0.1" "salun epochs=5 learning_rate=0.1"

There are as many groups as parts. Every part begins with an optimiser of its own. `naive` does nothing to its group:
with "exclude" the later parts do not train on it either. A part returns the network that it was given: `sisa`, whose
result are several, cannot be one, nor can `rum`. Parts are methods of this package.

Defaults (parts as in the released example for CIFAR-10 with 1,000 examples a group; their order of data and batch sizes
are ours, as is the score, whose release is the mean over the epochs of training):

    parts         ("naive", "finetune epochs=10 learning_rate=0.1", "salun epochs=5 learning_rate=0.1")
    scores        None
    order         "rising"
    later_groups  "exclude"
    batch_size    128

The metric `rum/score_k` is the mean score of group k. The states of all parts are held at once.

Deviation: in the release examples of later groups stay in the retain set of the parts before them, which then learn
what is to be forgotten; its proxies run from high to low (order="falling").

Reference: Zhao, Kurmanji, Barbulescu, Triantafillou, Triantafillou, NeurIPS 2024 (arXiv 2406.01257).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, File, MethodText
from junlearn.memo import remembered
from junlearn.parts import example_scores, feeds, refinement
from junlearn.parts.passes import scatter_rows
from junlearn.parts.refinement import Part
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    Preset,
    PyTree,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make", "needs"]

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of RUM."""

    parts: tuple[MethodText, ...] = (
        "naive",
        "finetune epochs=10 learning_rate=0.1",
        "salun epochs=5 learning_rate=0.1",
    )
    """A method for each group, in the order that they run: its name, and pairs field=value."""
    scores: File | None = None
    """A file with a score of memorisation for every training example; None: one less the original's confidence."""
    order: Literal["rising", "falling"] = "rising"
    """The first part gets the examples that are memorised least, or most."""
    later_groups: Literal["exclude", "include"] = "exclude"
    """Whether a part may read the groups after its own as retain examples."""
    batch_size: BatchSize = 128
    """Examples that are scored in a step."""


# Nothing: its settings are which methods it is made of, and theirs stand inside of texts.
SPACE: Space = {}

PRESETS = {
    "rum_released": Preset(
        "RUM as released: groups that are not yet forgotten are retain examples",
        {"later_groups": "include"},
    ),
    "rum_neggrad": Preset(
        "RUM as released with NegGrad+ for all groups",
        {
            "parts": (
                "neggrad_plus beta=0.99 epochs=5 learning_rate=0.01",
                "neggrad_plus beta=0.97 epochs=5 learning_rate=0.01",
                "neggrad_plus beta=0.97 epochs=10 learning_rate=0.001",
            ),
            "later_groups": "include",
        },
    ),
}
"""The two released examples."""


class State(NamedTuple):
    """The network between two parts, and the states of all."""

    variables: Variables
    """theta_{k-1} of the part that runs."""
    key: Key
    scores: Array
    """float[Nf]: equation 1, in the order of the split; 0 until it is known."""
    parts: tuple[PyTree, ...]
    """What is not begun yet is in the state of a run on other groups of the same sizes."""
    given: dict[str, Any]
    """What parts ask for before they begin: initial weights, black and white."""


def _parts(config: Config) -> list[Part]:
    """The methods and their settings. Raises ConfigError for what there is not."""
    # The registry holds this module: it is asked only when there is something to look up.
    from junlearn.methods import METHODS

    if not config.parts:
        raise ConfigError("rum: parts: at least one method is needed")
    others = {name: module for name, module in METHODS.items() if name != "rum"}
    return [refinement.read(text, others, "rum: parts") for text in config.parts]


def needs(config: Config) -> frozenset[str]:
    """What the parts read, and what is scored."""
    from junlearn.methods import needs_of

    wanted = {name for part in _parts(config) for name in needs_of(part.method, part.config)}
    if config.later_groups == "include" and len(config.parts) > 1:
        wanted |= {name.replace("retain.", "forget.") for name in wanted}
    return frozenset(wanted if config.scores else wanted | {"forget.x", "forget.y"})


def make(config: Config, model: Model) -> Method:
    """A stage that scores, and for each part one that hands over and then the part's own."""
    from junlearn.methods import build

    parts = _parts(config)
    methods = [build(part.method, part.config, model) for part in parts]
    rising = config.order == "rising"
    given = None if config.scores is None else example_scores.load(config.scores)

    def requests(split: Split, scores: Any) -> list[Split]:
        """Of every part; `scores` are those of the state, which a file goes before."""
        own = np.asarray(scores) if given is None else given.scores[split.forget]
        return refinement.groups(
            split, own if rising else -own, len(parts), later=config.later_groups == "include"
        )

    def prepared(number: int, state: PyTree, asked: Mapping[str, Any]) -> PyTree:
        """The state of a part with what it asks for."""
        method = methods[number]
        if method.with_initial is not None and "initial" in asked:
            state = method.with_initial(state, asked["initial"])
        if method.with_pixel is not None and "black" in asked:
            state = method.with_pixel(state, asked["black"], asked["white"])
        return state

    def score(state: State, batch: Batch) -> tuple[State, Metrics]:
        assert batch.slot is not None
        logits, _, _ = model.apply(state.variables, batch.x)
        sure = jnp.take_along_axis(jax.nn.softmax(logits), batch.y[:, None], axis=1)[:, 0]
        sure = sure.astype(state.scores.dtype)
        return state._replace(scores=scatter_rows(state.scores, batch.slot, batch.mask, -sure)), {}

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        if len(split.forget) < len(parts):
            raise ConfigError(
                f"rum: {len(parts)} parts need a forget example each, and there are {len(split.forget)}"
            )
        if given is not None:
            example_scores.check(given, len(sources["train"].y), where=f"rum: {config.scores}")
        scores = jnp.zeros(len(split.forget)) if given is None else given.scores[split.forget]
        states = tuple(
            method.init(jax.random.fold_in(key, number), variables, sources, request)
            for number, (method, request) in enumerate(
                zip(methods, requests(split, scores), strict=True)
            )
        )
        for part, method, state in zip(parts, methods, states, strict=True):
            _check_network(part.method, method, state)
        return State(variables, key, jnp.asarray(scores), states, {})

    def with_initial(state: State, initial: Variables) -> State:
        return _asking(state, {"initial": initial})

    def with_pixel(state: State, black: Array, white: Array) -> State:
        return _asking(state, {"black": black, "white": white})

    def _asking(state: State, asked: dict[str, Any]) -> State:
        states = tuple(prepared(number, own, asked) for number, own in enumerate(state.parts))
        return state._replace(parts=states, given={**state.given, **asked})

    def plan(split: Split) -> list[Stage]:
        def scored(rng: np.random.Generator, state: State) -> Feed:
            slots = feeds.sequential(np.arange(len(split.forget)), config.batch_size)
            return slots._replace(index=split.forget[slots.index], slot=slots.index)

        def handing(number: int) -> Callable[[State, Sources], State]:
            def begin(state: State, sources: Sources) -> State:
                variables = state.variables
                if number:
                    variables = methods[number - 1].finish(state.parts[number - 1])
                key = jax.random.fold_in(state.key, len(parts) + number)
                request = requests(split, state.scores)[number]
                own = methods[number].init(key, variables, sources, request)
                own = prepared(number, own, state.given)
                return state._replace(variables=variables, parts=_put(state.parts, number, own))

            return begin

        def own_stage(number: int, place: int, stage: Stage) -> Stage:
            def now(state: State) -> Stage:
                """The same stage for the groups that the scores have made."""
                request = requests(split, state.scores)[number]
                return methods[number].plan(request)[place]

            def feed(rng: np.random.Generator, state: State) -> PyTree:
                return now(state).feed(rng, state.parts[number])

            def until(state: State, evaluate: Callable[..., dict[str, float]]) -> bool:
                ends = now(state).until
                return ends is not None and ends(state.parts[number], evaluate)

            return stage._replace(
                name=f"part {number + 1}, {stage.name}",
                step=_lifted(stage.step, number),
                feed=feed,
                until=stage.until and until,
            )

        stages = [Stage("scores", score, scored)] if given is None else []
        # Groups of the same sizes, so that steps and lengths are those of the groups to come.
        requested = requests(split, np.zeros(len(split.forget)))
        for number, (part, method) in enumerate(zip(parts, methods, strict=True)):
            name = f"part {number + 1}, begin {part.method}"
            stages.append(
                Stage(name, _stay, lambda rng, state: feeds.dataless(1), begin=handing(number))
            )
            own = method.plan(requested[number])
            stages += [own_stage(number, place, stage) for place, stage in enumerate(own)]
        return stages

    def finish(state: State) -> Variables:
        return methods[-1].finish(state.parts[-1])

    def report(state: State) -> dict[str, Array]:
        scores = np.sort(np.asarray(state.scores))
        cut = np.array_split(scores if rising else scores[::-1], len(parts))
        found = {f"rum/score_{k}": jnp.asarray(s.mean()) for k, s in enumerate(cut, start=1)}
        for number, (method, own) in enumerate(zip(methods, state.parts, strict=True), start=1):
            said = {} if method.report is None else method.report(own)
            found |= {f"rum/part_{number}/{name}": value for name, value in said.items()}
        return found

    return Method(
        init,
        plan,
        finish,
        with_initial if any(method.with_initial for method in methods) else None,
        with_pixel if any(method.with_pixel for method in methods) else None,
        report,
        fits=refinement.fits_of(methods),
    )


def _put(parts: Sequence[PyTree], number: int, own: PyTree) -> tuple[PyTree, ...]:
    return (*parts[:number], own, *parts[number + 1 :])


def _stay(state: State, batch: Batch) -> tuple[State, Metrics]:
    return state, {}


@remembered
def _lifted(step: Callable, number: int) -> Callable[[State, PyTree], tuple[State, Metrics]]:
    """A step of a part as a step on the whole state."""

    def lifted(state: State, batch: PyTree) -> tuple[State, Metrics]:
        own, metrics = step(state.parts[number], batch)
        return state._replace(parts=_put(state.parts, number, own)), metrics

    return lifted


def _check_network(name: str, method: Method, state: PyTree) -> None:
    """Raise ConfigError where a part ends with another network than it was given."""
    kinds = []

    def ends(state: PyTree) -> tuple[()]:
        kinds.append(isinstance(method.finish(state), Variables))
        return ()

    try:
        jax.eval_shape(ends, state)
    except jax.errors.JAXTypeError:
        return  # A finish that works on the host makes no network either; it only scales what it has.
    if not all(kinds):
        raise ConfigError(
            f"rum: parts: {name} makes another network, and a part returns that which it was given"
        )
