"""Dealing networks out: whole networks, each to one side, and a bootstrap within the sides."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.metrics.ensemble import Relabelled, bootstraps, identity, permutations, splits
from junlearn.metrics.ensemble.relabelled import BUDGET, check_deal, ensemble, pieces, selection


def test_every_deal_holds_each_network_once():
    rng = np.random.default_rng(0)
    for dealt, sizes in (
        (permutations(5, 9, 50, rng), (5, 9)),
        (splits(50, 7, rng), (7, 7)),
        (identity(5, 9), (5, 9)),
    ):
        assert tuple(side.shape[1] for side in dealt) == sizes
        check_deal(np.zeros((14, 2)), dealt)
    assert identity(2, 3).second.tolist() == [[2, 3, 4]]


def test_permutations_are_uniform():
    dealt = permutations(2, 2, 6000, np.random.default_rng(1))
    pairs = np.sort(dealt.first, axis=1) @ [4, 1]
    shares = np.unique(pairs, return_counts=True)[1] / 6000
    assert len(shares) == 6
    np.testing.assert_allclose(shares, 1 / 6, atol=0.02)


def test_a_bootstrap_stays_within_its_side():
    dealt = bootstraps(4, 6, 100, np.random.default_rng(2))
    assert dealt.first.shape == (100, 4) and dealt.second.shape == (100, 6)
    assert set(np.unique(dealt.first)) == {0, 1, 2, 3}
    assert set(np.unique(dealt.second)) == {4, 5, 6, 7, 8, 9}
    with pytest.raises(ConfigError, match="dealt out whole"):
        check_deal(np.zeros((10, 2)), dealt)


def test_selection_sums_over_the_networks_that_were_dealt():
    pool = np.random.default_rng(3).normal(size=(6, 4))
    rows = np.array([[0, 2, 2], [5, 4, 3]])
    np.testing.assert_allclose(selection(rows, 6) @ pool, pool[rows].sum(axis=1))


def test_pieces_cover_all_and_stay_small():
    found = list(pieces(1000, BUDGET // 30))
    assert [p.start for p in found[1:]] == [p.stop for p in found[:-1]]
    assert found[0].start == 0 and found[-1].stop == 1000
    assert max(p.stop - p.start for p in found) == 30
    assert len(list(pieces(3, 10 * BUDGET))) == 3


def test_what_is_refused():
    broken = np.zeros((8, 3))
    broken[2, 1], broken[5, 0] = np.nan, np.inf
    with pytest.raises(ConfigError, match="retrained: 2 of 8 networks have margins that are NaN"):
        ensemble("retrained", broken)
    for shape in ((3,), (0, 4), (4, 0), (2, 2, 2)):
        with pytest.raises(ConfigError, match="expected margins"):
            ensemble("unlearned", np.zeros(shape))
    with pytest.raises(ConfigError, match="pool of 5 networks must be dealt out whole"):
        check_deal(np.zeros((5, 2)), identity(2, 2))
    with pytest.raises(ConfigError, match="dealt out whole"):
        check_deal(np.zeros((4, 2)), Relabelled(np.array([[0, 1]]), np.array([[1, 2]])))
