"""Each check finds its own fault, and no other check takes the blame for it."""

import os
import re
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.parts import feeds
from junlearn.testing import CHECKS, NotApplicable, Subject, check, make_problem, shortened
from junlearn.testing.form import space
from junlearn.testing.sameness import needs
from junlearn.types import Choice, Range, Variables
from tests.testing.tiny_methods import NEEDS, method, right

PROBLEM = shortened(make_problem("mlp", size=4, hidden=(8,)))


def failed(verdicts):
    return {verdict.name: verdict.detail for verdict in verdicts if verdict.passed is False}


def moved(variables, change):
    return variables._replace(params=jax.tree.map(change, variables.params))


def grows(state, batch, after, metrics):
    return after._replace(extra=(*after.extra, after.step)), metrics


def wide(state, batch, after, metrics):
    return after, {"losses": jnp.zeros(3)}


def stops(state, batch, after, metrics):
    raise TypeError("no such thing")


def becomes_nan(state, batch, after, metrics):
    return after._replace(variables=moved(after.variables, lambda p: p * jnp.nan)), metrics


def draws_twice(state, batch, after, metrics):
    noise = jax.random.normal(state.key, ()) - jax.random.normal(state.key, ())
    return after, metrics | {"noise": noise}


def ragged(rng, state, feed, split):
    size = int(20 + 5 * (np.asarray(state.step) % 2))
    return feeds.sequential(split.retain[:size], size)


def by_the_system(rng, state, feed, split):
    """It asks the system for random numbers, in the place of its generator."""
    seed = int.from_bytes(os.urandom(4), "little")
    return feeds.shuffled(np.random.default_rng(seed), split.retain, 5)


def in_place(rng, state, feed, split):
    split.forget[:] = np.sort(split.forget)[::-1]
    return feed


def every_row(rng, state, feed, split):
    return feeds.shuffled(rng, np.arange(46), 64)


def without_mask(rng, state, feed, split):
    """Its batches are ragged, and the step below does not look at the mask."""
    return feeds.shuffled(rng, split.retain, 8)


def blind_mean(state, batch, after, metrics):
    shift = 0.01 * batch.x.mean()
    return after._replace(variables=moved(after.variables, lambda p: p + shift)), metrics


def shape_lost(variables):
    return moved(variables, jnp.ravel)


def remembers(config, model):
    """The first state that a feed sees is kept beside the State, and read when a step has consumed it."""
    own, kept = right(config, model), []

    def plan(split):
        def feed(rng, state):
            kept.append(state)
            np.asarray(kept[0].step)
            return feeds.shuffled(rng, split.retain, config.batch_size)

        return [stage._replace(feed=feed) for stage in own.plan(split)]

    return own._replace(plan=plan)


def counts_epochs(config, model):
    """The number of the epoch is kept beside the State."""
    own, epochs = right(config, model), []

    def plan(split):
        def feed(rng, state):
            epochs.append(None)
            order = np.random.default_rng(len(epochs)).permutation(split.retain)
            return feeds.sequential(order, 8)

        return [stage._replace(feed=feed) for stage in own.plan(split)]

    return own._replace(plan=plan)


def counts_traces(config, model):
    """What is different when it is traced again, as it is in a scan."""
    own, traces = right(config, model), []

    def plan(split):
        def step_of(stage):
            def step(state, batch):
                traces.append(None)
                after, metrics = stage.step(state, batch)
                shift = 0.01 * len(traces)
                return after._replace(
                    variables=moved(after.variables, lambda p: p + shift)
                ), metrics

            return step

        return [stage._replace(step=step_of(stage)) for stage in own.plan(split)]

    return own._replace(plan=plan)


def keyless(config, model):
    def apply(variables, x, *, train=False, key=None, mask=None):
        return model.apply(variables, x, train=train, mask=mask)

    return right(config, model._replace(apply=apply))


def one_key_for_two(config, model):
    def apply(variables, x, *, train=False, key=None, mask=None):
        model.apply(variables, x, train=train, key=key, mask=mask)
        return model.apply(variables, x, train=train, key=key, mask=mask)

    return right(config, model._replace(apply=apply))


@dataclass
class Loose:
    epochs: int = 2
    batch_size: int = 64
    learning_rate: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Needy:
    rate: float


TABLE = "Defaults:\n\n    epochs  3\n    batch_size  64\n    learning_rate  0.05\n"

WRONG = {
    "Config that is not frozen": ({"Config": Loose}, "signatures", "kw_only=True"),
    "NEEDS with another name": ({"needs": NEEDS | {"moon.x"}}, "signatures", "moon.x; known: for"),
    "other defaults": ({"__doc__": TABLE}, "defaults", "epochs is 10, and 3 in the docstring"),
    "a SPACE without the default": (
        {"SPACE": {"learning_rate": Range(0.1, 1.0)}},
        "space",
        r"learning_rate: the default 0\.05 is not in Range",
    ),
    "an error": ({"step": stops}, "runs", "TypeError: no such thing"),
    "a state that grows": ({"step": grows}, "fixed_point", "stage 'descend': after a step"),
    "metrics of a batch": ({"step": wide}, "fixed_point", "metrics must be scalars: losses"),
    "batches of two sizes": ({"feed": ragged}, "one_trace", "is traced 2 times"),
    "a key for two draws": ({"step": draws_twice}, "keys", "used twice"),
    "an old state": ({"make": remembers}, "donation", "which its step has consumed"),
    "NaN": ({"step": becomes_nan}, "finite", "not finite|nan"),
    "weights of other shapes": ({"finish": shape_lost}, "finished", "kernel.*instead of float32"),
    "a pass without a key": ({"make": keyless}, "dropout", "without a key"),
    "two passes with one key": ({"make": one_key_for_two}, "dropout", "get the same key"),
    "numbers of the system": ({"feed": by_the_system}, "equal_keys", "two runs with equal keys"),
    "a change of its input": ({"feed": in_place}, "inputs_unchanged", "changes split.forget"),
    "a count of traces": ({"make": counts_traces}, "scan", "other numbers than the Python loop"),
    "a mean without mask": (
        {"feed": without_mask, "step": blind_mean},
        "masked_rows",
        "rows with mask False",
    ),
    "labels that it does not name": ({"needs": NEEDS - {"retain.y"}}, "needs", "reads retain.y, w"),
    "rows of neither set": ({"feed": every_row}, "needs", "neither to be forgotten nor retained"),
    "a count of epochs": ({"make": counts_epochs}, "resume", "from a checkpoint ends otherwise"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_fault_fails_its_check_alone(case):
    changes, name, detail = WRONG[case]
    found = failed(check(method(**changes), problem=PROBLEM))
    assert set(found) == {name}
    assert re.search(detail, found[name]) and "\n" not in found[name]


def test_every_check_has_a_fault_that_it_finds():
    assert {name for _, name, _ in WRONG.values()} == {one.__name__ for one in CHECKS}


def test_a_right_method_passes_all():
    told = []
    verdicts = check(method(), tell=told.append)
    assert told == verdicts and [v.name for v in verdicts] == [one.__name__ for one in CHECKS]
    assert {v.name: v.detail for v in verdicts if not v.passed} == {
        "defaults": "the docstring has no table of defaults"
    }
    assert all(verdict.seconds >= 0 for verdict in verdicts)


SUBJECT = Subject(method(__doc__=TABLE.replace("3", "10")), problem=PROBLEM)


@pytest.mark.parametrize("one", CHECKS[:4])
def test_the_checks_are_tests_of_pytest(one):
    one(SUBJECT)


def on_validation(rng, state, feed, split):
    return feeds.shuffled(rng, np.arange(15), 64, source="validation")


def test_a_validation_set_is_there_for_who_names_it():
    """And of it only what is named."""
    images, both = {"validation.x"}, {"validation.x", "validation.y"}
    needs(Subject(method(feed=on_validation, needs=both)))
    with pytest.raises(AssertionError, match=r"reads validation\.y, which"):
        needs(Subject(method(feed=on_validation, needs=images)))
    assert "validation" not in Subject(method()).dense.sources


def at_odds(config, model):
    if config.epochs == 10 and config.batch_size == 64:
        raise ValueError("too many examples in all")
    return right(config, model)


def test_what_a_search_tries_goes_together():
    """Ends that are allowed one by one, and those of choices and of fields without a default."""
    tried = {"epochs": Range(1, 10), "batch_size": Choice((8, 64))}
    space(Subject(method(SPACE=tried), problem=PROBLEM))
    with pytest.raises(AssertionError, match=r"is made with epochs=10, batch_size=64: too many ex"):
        space(Subject(method(make=at_odds, SPACE=tried), problem=PROBLEM))
    with pytest.raises(AssertionError, match=r"batch_size: the default 64 is not in Choice"):
        space(Subject(method(SPACE={"batch_size": Choice((8, 16))}), problem=PROBLEM))
    wrong = {"epochs": Range(0, 3, log=True)}
    with pytest.raises(ConfigError, match="the method: SPACE: epochs: a range with log=True"):
        space(Subject(method(SPACE=wrong), problem=PROBLEM))
    for nothing in (None, {}):
        with pytest.raises(NotApplicable):
            space(Subject(method(SPACE=nothing), problem=PROBLEM))


@pytest.mark.parametrize(
    ("thing", "detail"),
    [
        (object(), "lacks Config (a frozen dataclass of its hyper-parameters); make (make(config"),
        (method(Config=int), "Config must be a dataclass, not <class 'int'>"),
        (method(Config=Needy), "Config() cannot be made: "),
    ],
)
def test_what_cannot_be_run_is_said_once(thing, detail):
    first, *others = check(thing)
    assert first.name == "signatures" and first.passed is False and detail in first.detail
    assert {verdict.passed for verdict in others} == {None}
    assert {verdict.detail for verdict in others} == {"there is nothing to run; see signatures"}


def test_a_network_of_another_kind():
    def doubled(variables):
        return jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), variables)

    def make(config, model):
        own = right(config, model)

        def init(key, x):
            return doubled(model.init(key, x))

        def apply(variables, x, **options):
            first = jax.tree.map(lambda leaf: leaf[0], variables)
            return *model.apply(first, x, **options)[:2], {}

        def finish(state):
            return model._replace(init=init, apply=apply), doubled(state.variables)

        return own._replace(finish=finish)

    assert not failed(check(method(make=make), problem=PROBLEM))
    lost = method(make=make)
    lost.make = lambda config, model: make(config, model)._replace(
        finish=lambda state: (model._replace(init=model.init), Variables({}, {}))
    )
    assert set(failed(check(lost, problem=PROBLEM))) == {"finished"}
