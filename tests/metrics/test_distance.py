"""Layer-wise distance of weights: by hand, and what has no distance."""

import numpy as np
import pytest

from junlearn.metrics import METRICS, Context, Outputs
from junlearn.metrics.distance import layer_gaps
from junlearn.types import Variables

LOGITS = Outputs({"forget_train": np.zeros((2, 3))})


def network(kernel, bias=0.0):
    first = {"kernel": np.full((2, 2), kernel, np.float32), "bias": np.full(2, bias, np.float32)}
    stats = {"batch_stats": {"mean": np.full(2, kernel, np.float32)}}
    return Variables({"first": first, "head": {"kernel": np.ones((2, 3), np.float32)}}, stats)


def values(**networks):
    return METRICS["distance"](Context(LOGITS, {}, networks=networks))


def test_by_hand():
    found = values(model=network(3.0, 1.0), original=network(1.0, 2.0), retrain=network(3.0, 1.0))
    assert found.pop("distance/original/first") == pytest.approx(np.sqrt(4 * 4 + 2 * 1))
    assert found.pop("distance_mean/original/first") == pytest.approx((4 * 2 + 2 * 1) / 6)
    assert found.pop("distance/original/total") == pytest.approx(np.sqrt(18))
    assert found.pop("distance_mean/original/total") == pytest.approx(10 / 12)
    layers = ("first", "head", "total")
    zero = {f"{name}/retrain/{x}" for name in ("distance", "distance_mean") for x in layers}
    zero |= {"distance/original/head", "distance_mean/original/head"}
    assert set(found) == zero and not any(found.values())


def test_only_references_that_are_there_and_of_the_same_structure():
    assert values() == {} and values(original=network(1.0)) == {}
    assert values(model=network(1.0)) == {}
    wider = network(1.0)
    wider.params["head"]["kernel"] = np.ones((2, 4))
    ensemble = Variables([network(1.0).params] * 2, {})
    other = Variables({"first": network(1.0).params["first"]}, {})
    for strange in (wider, ensemble, other):
        assert values(model=network(1.0), original=strange) == {}
        assert values(model=strange, original=network(1.0)) == {}
    found = values(model=network(1.0), original=wider, retrain=network(2.0))
    assert {name.split("/")[1] for name in found} == {"retrain"}


def test_a_layer_without_numbers_and_integers_of_float32():
    empty = {"a": {"kernel": np.zeros((0, 3))}, "b": {}}
    assert {k: v.size for k, v in layer_gaps(empty, empty).items()} == {"a": 0, "b": 0}
    # The difference is taken in float64: 1e8 + 8 and 1e8 in float32 are 8 apart.
    big = {"a": np.float32([1e8 + 8])}
    np.testing.assert_array_equal(layer_gaps(big, {"a": np.float32([1e8])})["a"], [8.0])
