"""Seeds of networks: streams that never meet."""

import itertools

import jax
import numpy as np

from junlearn.audit.streams import Stream, network_key, order_seed
from junlearn.experiment import setup


def keys(seed):
    return {
        (stream, i): tuple(np.ravel(jax.random.key_data(network_key(seed, stream, i))).tolist())
        for stream, i in itertools.product(Stream, range(9))
    }


def test_no_two_networks_share_a_key_or_an_order():
    found = keys(3)
    assert len(set(found.values())) == len(found)
    orders = [order_seed(3, stream, i) for stream, i in itertools.product(Stream, range(99))]
    assert len(set(orders)) == len(orders)


def test_another_seed_gives_others_and_the_same_one_the_same():
    assert keys(3) == keys(3)
    assert not set(keys(3).values()) & set(keys(4).values())
    assert order_seed(3, Stream.TWIN, 1) == order_seed(3, Stream.TWIN, 1)


def test_streams_are_none_of_the_purposes_of_a_run():
    purposes = {setup.ORIGINAL, setup.RETRAIN, setup.SCENARIO}
    purposes |= {setup.METHOD, setup.RANDOM, setup.RELEARN}
    assert not purposes & set(map(int, Stream))
