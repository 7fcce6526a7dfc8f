"""Many unlearnings by one method are its runs one after the other, side by side or not."""

import signal
import time

import jax
import numpy as np
import pytest

import junlearn
from junlearn.engine import interrupts, lanes, unlearn_each
from junlearn.engine.augment import make_views
from junlearn.engine.run import run
from junlearn.errors import ConfigError, DivergedError
from junlearn.methods import build, finetune
from junlearn.parts import feeds
from junlearn.types import Method, Stage
from tests.engine.test_retracing import lowered
from tests.methods.subjects import problem_of, subject_of

COUNT = 3
KEYS = list(jax.random.split(jax.random.key(2), COUNT))
SEEDS = [4, 0, 9]
VIEWS = make_views((0.3,), (1.2,), None, "crop_flip", 1)
PROBLEM, INITIAL = problem_of("mlp")
STARTS = [
    jax.tree.map(lambda leaf: leaf * (1 + 0.1 * i), PROBLEM.variables)  # noqa: B023
    for i in range(COUNT)
]
AUGMENTED = finetune.Config(epochs=2, batch_size=8, augment=True)


def hold(state, batch):
    return state, {}


HOLD = Method(
    lambda key, variables, sources, split: variables,
    lambda split: [Stage("hold", hold, lambda rng, state: feeds.dataless(2))],
    lambda state: state,
)
"""A method that changes nothing, and tells nothing."""
STOP = HOLD._replace(
    plan=lambda split: [HOLD.plan(split)[0]._replace(epochs=3, until=lambda state, evaluate: True)]
)
BEGIN = HOLD._replace(
    plan=lambda split: [HOLD.plan(split)[0]._replace(begin=lambda state, sources: state)]
)
OWN = {"hold": HOLD, "stop": STOP, "begin": BEGIN}


def method_of(name):
    if name == "augmented":
        return build("finetune", AUGMENTED, PROBLEM.model)
    if name in OWN:
        return OWN[name]
    subject = subject_of(name)
    # First the run that the conformance suite looks at: it counts how often its steps are traced.
    subject.plain(PROBLEM)
    return subject.method(PROBLEM)


def each(name, **options):
    fixed = {"keys": KEYS, "seeds": SEEDS, "views": VIEWS, "starts": STARTS} | options
    starts, split = fixed.pop("starts"), fixed.pop("splits", PROBLEM.split)
    return unlearn_each.unlearn_each(
        *(method_of(name), PROBLEM.model, PROBLEM.sources, split, starts),
        initial=lambda i: INITIAL,
        **fixed,
    )


def assert_equal_to_runs(name, ones):
    for one in ones:
        single = run(
            *(method_of(name), PROBLEM.model, STARTS[one.number], PROBLEM.sources, PROBLEM.split),
            key=KEYS[one.number],
            seed=SEEDS[one.number],
            initial=INITIAL,
            views=VIEWS,
        )
        assert_equal(one, single)


def assert_equal(one, single):
    for a, b in zip(jax.tree.leaves(one.variables), jax.tree.leaves(single.variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert len(one.history) == len(single.history)
    for entry, wanted in zip(one.history, single.history, strict=True):
        assert entry.keys() == wanted.keys()
        assert entry.pop("stage") == wanted.pop("stage")
        np.testing.assert_allclose(
            list(entry.values()), list(wanted.values()), rtol=1e-4, atol=1e-5
        )


def bits(ones):
    return {one.number: [a.tobytes() for a in jax.tree.leaves(one.variables)] for one in ones}


# Several stages, several feeds a step, feeds that read the state or have slots, a teacher, noise, weights at the start.
SEVERAL = ["camu", "neggrad_plus", "scrub", "ssd", "unrolling", "unsir"]


@pytest.mark.parametrize("name", ["augmented", *SEVERAL])
def test_side_by_side(name):
    ones = list(each(name, how="vmap"))
    assert [(one.number, one.how) for one in ones] == [(i, "vmap") for i in range(COUNT)]
    assert all(one.seconds > 0 and one.model is None for one in ones)
    assert_equal_to_runs(name, ones)


def test_in_a_scan(monkeypatch):
    """Of 4, 4 and 1 steps an epoch."""
    monkeypatch.setattr(lanes, "SCAN_STEPS", (4, 1))
    name = "neggrad_plus"
    assert_equal_to_runs(name, list(each(name, how="vmap", loop="scan", chunks=[[2, 0]], places=3)))


def test_as_the_library_does():
    ones = each("augmented", how="vmap")
    fields = {"epochs": 2, "batch_size": 8, "augment": True, "views": VIEWS}
    for one, start, key, seed in zip(ones, STARTS, KEYS, SEEDS, strict=True):
        single = junlearn.unlearn(
            *(PROBLEM.model, start, PROBLEM.sources, PROBLEM.split, "finetune"),
            key=key,
            seed=seed,
            **fields,
        )
        assert_equal(one, single)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stop", "stage 'hold' ends when a network is done"),
        ("begin", "stage 'hold' begins with work for one network"),
        ("naive", "the method has no stage"),
    ],
)
def test_a_stage_that_stops_is_for_the_loop(name, message):
    ones = list(each(name, chunks=[[2], [1]]))
    assert [(one.number, one.how) for one in ones] == [(2, "loop"), (1, "loop")]
    assert_equal_to_runs(name, ones)
    with pytest.raises(ConfigError, match=message):
        each(name, how="vmap")


def test_other_requests_are_for_the_loop():
    split = PROBLEM.split
    other = split._replace(forget=split.forget[1:], retain=np.append(split.retain, split.forget[0]))
    with pytest.raises(ConfigError, match="the networks forget different examples"):
        each("augmented", how="vmap", splits=[split, split, other])
    ones = list(each("augmented", splits=[split, split, other]))
    assert {one.how for one in ones} == {"loop"}
    assert_equal_to_runs("augmented", ones[:2])
    # What is not asked for is not in the way.
    assert next(each("augmented", how="vmap", splits=[split, split, other], chunks=[[0, 1]]))


def test_networks_that_turn_out_to_be_unlike_are_for_the_loop():
    """SISA's shards, drawn for each network, are not equally large; and it gives a network of its own."""
    ones = list(each("sisa", how="vmap"))
    assert {one.how for one in ones} == {"loop"}
    assert all(one.model is not None for one in ones)
    assert_equal_to_runs("sisa", ones)


@pytest.mark.bitwise
@pytest.mark.parametrize("how", ["vmap", "loop"])
def test_what_else_unlearns_changes_no_bit_and_compiles_nothing(how):
    options = {"how": how, "places": 2}
    whole = bits(each("scrub", chunks=[[0, 1], [2]], **options))
    with lowered() as anew:
        last = bits(each("scrub", chunks=[[2]], **options))
    assert anew == []
    assert last == {2: whole[2]}


def test_as_many_at_a_time_as_memory_allows(monkeypatch):
    """Room for two: the second chunk has one network, and one that stands in."""
    built = []

    def two(build, count, state_bytes, data_bytes, limit):
        built.append(min(count, 2))
        return built[-1], build(built[-1])

    monkeypatch.setattr(lanes, "largest_chunk", two)
    ones = list(each("augmented", how="vmap"))
    assert [(one.number, one.how) for one in ones] == [(i, "vmap") for i in range(COUNT)]
    assert_equal_to_runs("augmented", ones)
    # Once for three, and once for two, which both chunks share.
    assert built == [2, 2]
    with pytest.raises(ConfigError, match="a chunk has 3 places, and memory is enough for 2"):
        list(each("augmented", how="vmap", chunks=[[0, 1, 2]]))


def broken(number):
    """Network 1 answers with numbers that are not finite."""
    return jax.tree.map(lambda leaf: leaf * (np.nan if number == 1 else 1), STARTS[number])


@pytest.mark.parametrize("how", ["auto", "vmap", "loop"])
def test_nothing_is_asked_for(how):
    assert list(each("augmented", how=how, chunks=[])) == []


@pytest.mark.parametrize("how", ["vmap", "loop"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("augmented", "model 1, stage 'finetune', epoch 0, step 0: loss is nan"),
        ("hold", "model 1, end of stage 'hold': .* of params.dense1.bias are not finite"),
    ],
)
def test_a_network_that_diverges_can_be_kept(how, name, message):
    with pytest.raises(DivergedError, match=message) as error:
        list(each(name, how=how, starts=broken))
    one, bad, other = each(name, how=how, starts=broken, diverging="kept")
    assert bad.diverged == str(error.value)
    assert bad.variables is None and bad.history == []
    assert one.diverged is other.diverged is None
    assert_equal_to_runs(name, [one, other])


def test_a_signal_ends_it_between_two_steps(monkeypatch):
    asked = []
    monkeypatch.setattr(
        interrupts, "pending", lambda: signal.SIGTERM if len(asked) > 2 else asked.append(0) or 0
    )
    with pytest.raises(interrupts.Interrupted, match="in stage 'finetune', epoch 0"):
        next(each("augmented", how="vmap"))


def slow(monkeypatch, seconds):
    """Let a run of its own take so much longer."""
    alone = unlearn_each.Walk._alone

    def late(self, number):
        time.sleep(seconds)
        return alone(self, number)

    monkeypatch.setattr(unlearn_each.Walk, "_alone", late)


def test_auto_takes_side_by_side_what_takes_long(monkeypatch):
    list(each("augmented", how="vmap"))
    slow(monkeypatch, 0.3)
    monkeypatch.setattr(unlearn_each, "COMPILATION", 0.0)
    told = []
    ones = list(each("augmented", progress=lambda *counts: told.append(counts)))
    assert [(one.number, one.how) for one in ones] == [(i, "vmap") for i in range(COUNT)]
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert_equal_to_runs("augmented", ones)


def test_auto_keeps_to_the_loop_where_that_is_faster(monkeypatch):
    list(each("augmented", how="vmap"))
    monkeypatch.setattr(unlearn_each, "COMPILATION", 0.0)
    tried = []

    def run_slowly(self, part, size, budget):
        tried.append((part, size, budget < 60))
        raise lanes.Slow

    monkeypatch.setattr(lanes.Lanes, "run", run_slowly)
    ones = list(each("augmented"))
    assert [(one.number, one.how) for one in ones] == [(i, "loop") for i in range(COUNT)]
    assert tried == [([0, 1, 2], 3, True)]
    assert_equal_to_runs("augmented", ones)


def test_auto_compiles_no_second_program_for_a_few_steps(monkeypatch):
    monkeypatch.setattr(unlearn_each, "COMPILATION", 60.0)
    monkeypatch.setattr(lanes.Lanes, "run", None)
    assert {one.how for one in each("augmented")} == {"loop"}


def test_a_chunk_that_takes_too_long_is_given_up():
    walk = lanes.Lanes
    task = lanes.Task(
        *(method_of("augmented"), PROBLEM.model, PROBLEM.sources, VIEWS),
        *([PROBLEM.split] * COUNT, STARTS.__getitem__, None, KEYS, SEEDS),
        unlearn_each.Placement("python"),
    )
    with pytest.raises(lanes.Slow):
        walk(task, "vmap", 2**30, "raise").run([0, 1], 2, 1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": KEYS[0]}, "keys is a single key"),
        ({"seeds": [1, 2]}, "seeds: 2 of them, and 3 keys"),
        ({"starts": STARTS[:2]}, "starts: 2 of them, and 3 keys"),
        ({"how": "vamp"}, "unknown how 'vamp'"),
        ({"chunks": [[3]]}, "chunks hold 3, and models are 0 to 2"),
        ({"splits": PROBLEM.split._replace(forget=[46])}, "split.forget"),
        ({"memory": 0}, "unlearn_each: memory is 0"),
    ],
)
def test_what_is_refused_at_once(options, message):
    with pytest.raises(ConfigError, match=message):
        each("augmented", **options)


def test_a_method_in_need_of_initial_weights_says_so():
    ones = unlearn_each.unlearn_each(
        *(method_of("unrolling"), PROBLEM.model, PROBLEM.sources, PROBLEM.split, STARTS),
        keys=KEYS,
        how="vmap",
    )
    with pytest.raises(ConfigError, match="pass initial="):
        next(ones)
