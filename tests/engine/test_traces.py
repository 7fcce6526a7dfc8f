"""Traced steps on disk: taken up by a later process, to the last bit, and by nobody for whom they were not made."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine import compilations, program, traces
from junlearn.models.convolution import written_as
from tests.engine.counting import lowered
from tests.methods.subjects import NAMES, subject_of


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(compilations, "SAID", set())
    monkeypatch.setattr(traces, "_directory", None)
    traces.keep(tmp_path / "compiled")
    return tmp_path / "compiled"


def files(kept):
    return sorted(kept.glob("step-*")) if kept.exists() else []


def known(step):
    """A step of the tests as if the package defined it: code from elsewhere is not kept."""
    step.__module__ = "junlearn.memo"
    return step


@known
def step(state, images):
    total, key = state
    drawn = jax.random.uniform(key, images.shape)
    return (total + (drawn * images).sum(0), jax.random.fold_in(key, 1)), {
        "sum": images.sum(),
        "drawn": drawn.mean(),
    }


def start():
    return jnp.arange(3.0), jax.random.key(7)


IMAGES = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)


def compiled(step=step, made_of=None, state=None, images=IMAGES):
    arguments = (start() if state is None else state, images)
    return traces.compiled(step, [step] if made_of is None else made_of, arguments)


def plain(step=step, images=IMAGES):
    return jax.jit(step)(start(), images)


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for pair in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert jax.typeof(pair[0]) == jax.typeof(pair[1])
        np.testing.assert_array_equal(*map(plainly, pair))


def plainly(leaf):
    is_key = jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else np.asarray(leaf)


def no_tracing(*arguments):
    raise AssertionError("it is traced")


def test_a_step_is_traced_once(kept, monkeypatch):
    same(compiled()(start(), IMAGES), plain())
    (file,) = files(kept)
    monkeypatch.setattr(traces, "_trace", no_tracing)
    again = compiled()
    same(again(start(), IMAGES), plain())
    # A second step goes on from what the first one gave.
    after, _ = again(start(), IMAGES)
    expected, _ = plain()
    same(again(after, IMAGES), jax.jit(step)(expected, IMAGES))
    assert files(kept) == [file]


def test_what_it_gives_is_as_without_a_trace(kept):
    """Its state is consumed, and the new one is bound to no device: else later programs would be others."""
    state = start()
    after, metrics = compiled()(state, IMAGES)
    assert state[0].is_deleted()
    assert not after[0].committed and not metrics["sum"].committed
    double = jax.jit(lambda x: 2 * x)
    double(start()[0])
    with lowered() as anew:
        double(after[0])
    assert anew == []


def test_arrays_that_are_bound_to_a_device_stay_there(kept):
    def bound():
        return jax.device_put(start(), jax.devices()[0])

    for _ in range(2):
        after, _ = compiled(state=bound())(bound(), IMAGES)
        assert after[0].committed


def test_other_steps_and_arguments_are_traced_anew(kept):
    def scaled(scale):
        return known(lambda state, images: step(state, scale * images))

    halved, tripled = scaled(0.5), scaled(3.0)
    for each in (step, halved, tripled):
        same(compiled(each)(start(), IMAGES), plain(each))
    assert len(files(kept)) == 3
    compiled(images=IMAGES[:2])
    compiled(images=IMAGES.astype(np.float16))
    assert len(files(kept)) == 5
    with jax.default_matmul_precision("highest"):
        compiled()
    with written_as("lax"):
        compiled()
    with jax.enable_x64(True):
        compiled()
    assert len(files(kept)) == 8
    compiled(scaled(0.5))
    assert len(files(kept)) == 8


def test_nothing_is_kept_where_nothing_is_to_be_kept(kept):
    traces.keep(None)
    same(compiled()(start(), IMAGES), plain())
    assert not kept.exists()


def nested(state, images):
    return state, {"all": {"sum": images.sum()}}


def grows(state, images):
    return (*state, images), {}


def weak(state, images):
    del images
    return state, {"one": jnp.asarray(1.0)}


def printing(state, images):
    jax.debug.callback(lambda x: None, images.sum())
    return state, {"sum": images.sum()}


@pytest.mark.parametrize("step", [nested, grows, weak, printing], ids=lambda s: s.__name__)
def test_a_step_of_another_form_works_and_is_not_kept(kept, step):
    same(compiled(known(step))(start(), IMAGES), plain(step))
    assert files(kept) == []


def test_weak_numbers_stay_weak(kept):
    """Times a half-precision array they give half precision, and strong ones do not."""
    halves = IMAGES.astype(np.float16)

    @known
    def multiply(state, images):
        return state, {"product": (state[0] * images).sum()}

    for number in (partial(jnp.asarray, 2.0, jnp.float32), partial(jnp.asarray, 2.0)):
        state, other = ((number(), jax.random.key(0)) for _ in range(2))
        _, metrics = compiled(multiply, state=state, images=halves)(state, halves)
        same(metrics, jax.jit(multiply)(other, halves)[1])


def test_code_from_elsewhere_is_not_kept(kept):
    def other(state, images):
        return step(state, images)

    same(compiled(other)(start(), IMAGES), plain(other))
    assert files(kept) == []


def test_a_mistake_in_a_step_is_the_same_with_traces(kept):
    @known
    def wrong(state, images):
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        compiled(wrong)
    assert files(kept) == []


@pytest.mark.parametrize("damage", [lambda c: c[:-1], lambda c: b"", lambda c: c + b"x"])
def test_a_damaged_trace_is_made_anew_and_said(kept, caplog, damage):
    compiled()
    (file,) = files(kept)
    content = file.read_bytes()
    file.write_bytes(damage(content))
    same(compiled()(start(), IMAGES), plain())
    assert file.read_bytes()[:32] == content[:32] or file.exists()
    (line,) = caplog.messages
    assert file.name in line and "\n" not in line


def test_a_trace_that_cannot_be_read_is_made_anew(kept):
    """With a seal that fits, but by another version."""
    compiled()
    (file,) = files(kept)
    path = compilations.SealedPath(file)
    for content in (b"{}\nabc", b"nothing", b'{"metrics": [], "plain": false}\n'):
        path.write_bytes(content)
        same(compiled()(start(), IMAGES), plain())


def test_a_full_disk_costs_the_trace_alone(kept, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compilations, "replacing", full)
    same(compiled()(start(), IMAGES), plain())
    assert files(kept) == []


def test_where_jax_gives_no_way_to_leave_arrays_unbound_no_trace_is_used(kept, monkeypatch):
    monkeypatch.setattr(traces, "_lowered", lambda traced, arguments: None)
    same(compiled()(start(), IMAGES), plain())


SCANNED = [case for case in NAMES if {"finetune", "duck", "scrub"} & set(case.values)]


@pytest.mark.parametrize("name", NAMES)
def test_a_method_gives_the_same_from_its_traces(kept, name, monkeypatch):
    subject = subject_of(name)
    expected = subject.plain(subject.dense).result
    check_method(kept, subject, expected, "python", monkeypatch)


@pytest.mark.parametrize("name", SCANNED)
def test_in_a_scan_a_method_gives_the_same_from_its_traces(kept, name, monkeypatch):
    subject = subject_of(name)
    traces.keep(None)
    expected = subject.run(subject.dense, loop="scan")
    traces.keep(kept)
    check_method(kept, subject, expected, "scan", monkeypatch)


def check_method(kept, subject, expected, loop, monkeypatch):
    # As in a new process: nothing that was compiled before is found.
    monkeypatch.setattr("junlearn.engine.run.program_of", program.Program)
    there = None
    for _ in range(2):
        found = subject.run(subject.dense, subject.anew(subject.dense), loop=loop)
        same(found.variables, expected.variables)
        assert str(found.history) == str(expected.history)
        assert bool(files(kept)) == bool(found.history) and there in (None, files(kept))
        there = files(kept)
        monkeypatch.setattr(traces, "_trace", no_tracing)
