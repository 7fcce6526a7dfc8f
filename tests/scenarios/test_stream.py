"""Streams: what every request forgets, and what is left for the later ones."""

import jax
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.scenarios import SCENARIOS
from junlearn.scenarios.partition import so_far
from tests.scenarios.test_scenarios import assert_partition, dataset

STREAM = SCENARIOS["stream"]
DATA = dataset([0, 1, 2, 3] * 5, [0, 1, 2, 3])


def requests(seed=0, **fields):
    """The requests of a stream, after making sure that none reads what an earlier one has forgotten."""
    config = STREAM.Config(**fields)
    found = STREAM.make(config, DATA, jax.random.key(seed))
    assert len(found) == STREAM.sequence(config)
    gone = np.zeros(0, int)
    for number, one in enumerate(found, start=1):
        assert not np.isin(one.forget, gone).any()
        gone = np.concatenate([gone, one.forget])
        np.testing.assert_array_equal(one.retain, np.setdiff1d(np.arange(20), gone))
        assert_partition(so_far(found[:number]), 20, 4)
        np.testing.assert_array_equal(so_far(found[:number]).forget, np.sort(gone))
    return found


def test_random_requests_of_equal_and_of_growing_sizes():
    assert [len(one.forget) for one in requests(requests=3, size=4)] == [4, 4, 4]
    growing = requests(requests=4, size=1, growth=2)
    assert [len(one.forget) for one in growing] == [1, 3, 5, 7]
    assert all(one.classes == () and not len(one.forget_test) for one in growing)
    assert len({one.seed for one in growing}) == 4
    shorter = requests(requests=2, size=1, growth=2)
    for one, other in zip(shorter, growing, strict=False):
        np.testing.assert_array_equal(one.forget, other.forget)
    assert any(
        not np.array_equal(one.forget, other.forget)
        for one, other in zip(growing, requests(1, requests=4, size=1, growth=2), strict=True)
    )


def test_requests_for_classes():
    found = requests(classes=(2, 0))
    assert [one.classes for one in found] == [(2,), (0,)]
    assert [one.forget_test.tolist() for one in found] == [[2], [0]]
    assert found[1].retain_test.tolist() == [1, 3]
    assert so_far(found).classes == (0, 2)


def test_requests_of_files(tmp_path):
    for name, lines in {"a": "# one\n3\n17\n", "b": "4\n", "c": "5\n17\n"}.items():
        (tmp_path / name).write_text(lines)
    first, second, third = (str(tmp_path / name) for name in "abc")
    found = requests(files=(first, second))
    assert [one.forget.tolist() for one in found] == [[3, 17], [4]]
    with pytest.raises(ConfigError) as caught:
        requests(files=(first, second, third))
    assert str(caught.value) == (
        f"{third}, line 2: the training example 17 was deleted before, by {first}, line 3"
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"requests": 4, "size": 5}, "the 4 requests are for 20 examples, .* has 20: one at least"),
        ({"requests": 2**31 - 1, "size": 1}, "one at least is to be retained"),
        ({"classes": (0, 1, 0)}, "class 0 stands twice"),
        ({"classes": (0, 1, 2, 3)}, "the 4 requests leave no example to retain"),
        ({"classes": (7,)}, "class 7 does not exist"),
        ({"files": ("none.txt",)}, "none.txt"),
        ({"classes": (0,), "files": ("a.txt",)}, "either classes or files"),
    ],
)
def test_what_cannot_be_is_refused(fields, says):
    with pytest.raises(ConfigError, match=says) as caught:
        requests(**fields)
    assert "\n" not in str(caught.value)
