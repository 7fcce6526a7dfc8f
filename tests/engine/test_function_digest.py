"""Digests of functions: the same in every process, another one for every other value, none for what is not known."""

import contextlib
import functools
import os
import re
import subprocess
import sys
import threading
import typing
from collections import namedtuple
from dataclasses import fields, make_dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.compiler import jitted
from junlearn.engine import code_digest
from junlearn.engine.function_digest import function_digest
from junlearn.errors import ConfigError, DataError
from junlearn.methods import METHODS
from junlearn.parts import descent
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.testing import make_problem
from tests.methods.subjects import NAMES, subject_of


def own(function):
    """A function of the tests as if the package defined it: code from elsewhere has no digest."""
    function.__module__ = "junlearn.memo"
    return function


def closing_over(value, *more):
    return own(lambda x: (x, value, more))


OPTIMIZER = Optimizer(learning_rate=0.1)
ARRAY = np.arange(6.0).reshape(2, 3)
OTHERS = {
    "int and float": (1, 1.0),
    "int and bool": (1, True),
    "signs of zero": (0.0, -0.0),
    "the last bit": (0.1, np.nextafter(0.1, 1).item()),
    "text and bytes": ("a", b"a"),
    "text and number": ("1", 1),
    "none and text": (None, "None"),
    "tuple and list": ((1, 2), [1, 2]),
    "nesting": (((1,), 2), ((1, 2),)),
    "order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "keys": ({"a": 1}, {"b": 1}),
    "sets": ({1, 2}, {1, 3}),
    "ranges": (range(3), range(4)),
    "one entry": (ARRAY, ARRAY + 1e-9 * (ARRAY == 3)),
    "shapes": (ARRAY, ARRAY.reshape(3, 2)),
    "kinds of numbers": (ARRAY, ARRAY.astype(np.float32)),
    "numpy and JAX": (ARRAY.astype(np.float32), jnp.asarray(ARRAY, jnp.float32)),
    "weak and strong": (jnp.asarray(1.0, jnp.float32), jnp.asarray(1.0)),
    "random keys": (jax.random.key(1), jax.random.key(2)),
    "kinds of keys": (jax.random.key(1), jax.random.key(1, impl="rbg")),
    "dtypes": (np.dtype("f4"), np.dtype("f8")),
    "scalar types": (jnp.float32, jnp.bfloat16),
    "functions by name": (jnp.sin, jnp.cos),
    "modules": (METHODS["ssd"], METHODS["jit"]),
    "a learning rate": tuple(
        transformation(replace(OPTIMIZER, learning_rate=rate)).update for rate in (0.1, 0.2)
    ),
    "an optimiser": (optax.adam(0.1), optax.sgd(0.1)),
    "a momentum": (optax.sgd(0.1, momentum=0.9), optax.sgd(0.1, momentum=0.8)),
    "a field": (OPTIMIZER, replace(OPTIMIZER, weight_decay=1e-4)),
    "enum": (jax.lax.Precision.HIGH, jax.lax.Precision.HIGHEST),
    "patterns": (re.compile("a"), re.compile("a", re.IGNORECASE)),
    "an argument that is bound": (functools.partial(jnp.sum, axis=0), functools.partial(jnp.sum)),
    "options of jit": (jitted(jnp.sum, static_argnums=1), jitted(jnp.sum)),
    "networks": (make_problem("mlp").model, make_problem("mlp", hidden=(3,)).model),
}


@pytest.mark.parametrize("which", OTHERS)
def test_another_value_has_another_digest(which):
    one, other = (function_digest(closing_over(value)) for value in OTHERS[which])
    assert one is not None and other is not None
    assert one != other
    assert function_digest(OTHERS[which][0]) != function_digest(OTHERS[which][1])


def test_another_code_has_another_digest():
    a, b = own(lambda x: x + 1), own(lambda x: x - 1)
    constant, name, default = own(lambda x: x + 2), own(lambda x: x.T), own(lambda x=1: x + 1)
    keyword, inner = own(lambda *, x=1: x + 1), own(lambda x: (lambda y: y + 1)(x))
    other_inner = own(lambda x: (lambda y: y + 2)(x))
    found = [
        function_digest(f) for f in (a, b, constant, name, default, keyword, inner, other_inner)
    ]
    assert None not in found and len(set(found)) == len(found)
    assert function_digest(own(lambda x=1: x + 1)) != function_digest(own(lambda x=2: x + 1))


def test_the_same_made_anew_has_the_same_digest():
    made = [
        closing_over([1, {"a": np.arange(3)}, jax.random.key(3)], transformation(OPTIMIZER))
        for _ in range(2)
    ]
    assert function_digest(made[0]) == function_digest(made[1]) is not None
    # Two equal values and twice the same one are no difference.
    first, second = np.ones(3), np.ones(3)
    assert function_digest((first, second)) == function_digest((first, first))


def test_a_function_may_call_itself():
    def made(step):
        def countdown(n):
            return n and countdown(n - step)

        return own(countdown)

    assert function_digest(made(1)) == function_digest(made(1)) is not None
    assert function_digest(made(1)) != function_digest(made(2))


class Local:
    def __call__(self, x):
        return x


UNKNOWN = {
    "an object": Local(),
    "a class of a function": type("Local", (), {}),
    "a lock": threading.Lock(),
    "an array of objects": np.array([object()]),
    "code from elsewhere": test_a_function_may_call_itself,
    "a lambda from elsewhere": lambda x: x,
    "a method of an object": Local().__call__,
    "a generator": (i for i in range(3)),
    "a jitted function": jax.jit(lambda x: x),
    "a dataclass with a method": make_dataclass("Own", [], namespace={"call": lambda self: 1})(),
    "a named tuple from elsewhere": namedtuple("Pair", "a")(1),
}


@pytest.mark.parametrize("which", UNKNOWN)
def test_what_is_not_known_has_no_digest(which):
    assert function_digest(UNKNOWN[which]) is None
    assert function_digest(closing_over([{"a": UNKNOWN[which]}])) is None


def test_a_dataclass_that_is_put_together_counts_with_its_bases_and_fields():
    def made(base, rate):
        section = make_dataclass(
            "method_x", [("own", int, 3)], bases=(base,), frozen=True, kw_only=True
        )
        return closing_over(section(learning_rate=rate))

    ssd, jit = METHODS["finetune"].Config, METHODS["retrain"].Config
    assert function_digest(made(ssd, 0.1)) == function_digest(made(ssd, 0.1)) is not None
    found = {function_digest(made(*a)) for a in ((ssd, 0.1), (ssd, 0.2), (jit, 0.1))}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        ("junlearn.parts.descent", True),
        ("junlearn.parts.losses", True),
        ("junlearn.models.convolution", True),
        ("junlearn.methods.jit", False),
    ],
)
def test_a_change_of_the_source_changes_the_digests_of_what_imports_it(
    module, changes, monkeypatch
):
    model = make_problem("small_cnn", size=4).model
    step = descent.descend(descent.supervised(model), transformation(OPTIMIZER))
    before, real = function_digest(step), code_digest._source
    monkeypatch.setattr(code_digest, "_source", lambda name: real(name) + b"#" * (name == module))
    for function in (code_digest._closure, code_digest._imported):
        function.cache_clear()
    assert (function_digest(step) != before) == changes


def test_where_the_source_was_changed_since_the_process_began_nothing_has_a_digest(monkeypatch):
    """The process runs what it has loaded, and would keep that under the name of what is there now."""
    problem = make_problem("mlp")
    step = descent.descend(descent.supervised(problem.model), transformation(OPTIMIZER))
    assert function_digest(step) is not None
    file = Path(code_digest._file("junlearn.parts.losses"))
    for function in (code_digest._source, code_digest._closure, code_digest._imported):
        function.cache_clear()
    monkeypatch.setattr(code_digest, "CHANGED", set())
    monkeypatch.setattr(code_digest, "BEGAN", file.stat().st_ctime)
    assert function_digest(step) is None and "junlearn.parts.losses" in code_digest.CHANGED
    code_digest._source.cache_clear()


PRINTED = """
import numpy as np, jax
from junlearn.engine.function_digest import function_digest
from junlearn.errors import ConfigError, DataError
from junlearn.methods import METHODS
from junlearn.testing import make_problem
problem = make_problem("small_cnn", size=4)
for name in ("ssd", "scrub", "laf", "salun"):
    method = METHODS[name].make(METHODS[name].Config(), problem.model)
    print(*(function_digest(stage.step) for stage in method.plan(problem.split)))
print(function_digest({"b", "a", "c"}, jax.random.key(0)))
"""


def test_every_process_finds_the_same():
    def printed(seed):
        done = subprocess.run(
            [sys.executable, "-c", PRINTED],
            env={**os.environ, "PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert printed("1") == printed("2")
    assert "None" not in printed("1")


def others(value, kind):
    """Values that a field may have instead."""
    inside = (kind, *typing.get_args(kind))
    choices = [
        typing.get_args(each) for each in inside if typing.get_origin(each) is typing.Literal
    ]
    if choices:
        return [choice for choice in choices[0] if choice != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value / 2, value + 0.25, 0.5]
    if isinstance(value, tuple):
        return [(*value, *value[:1]), value[:1]]
    return [1, 0.5]


@pytest.mark.parametrize("name", NAMES)
def test_no_field_of_a_method_is_overlooked(name):
    subject = subject_of(name)
    kinds = typing.get_type_hints(type(subject.config))

    def digest(**changed):
        config = replace(subject.config, **changed)
        return function_digest(subject.module.make(config, subject.dense.model))

    found, tried = digest(), 0
    assert found == digest() is not None
    for field in fields(subject.config):
        value = getattr(subject.config, field.name)
        for other in others(value, kinds[field.name]):
            # A method refuses some values, and takes others only with those of other fields.
            with contextlib.suppress(ConfigError, DataError, ValueError, TypeError):
                changed = digest(**{field.name: other})
                assert other == value or changed != found, field.name
                tried += 1
    assert tried >= len(fields(subject.config)) / 2
