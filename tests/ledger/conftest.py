"""Ledgers that several tests begin from."""

import pytest

from junlearn import cli
from tests.ledger import small


@pytest.fixture(autouse=True)
def _no_compilations(monkeypatch):
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)


@pytest.fixture(scope="session")
def begun(tmp_path_factory):
    """A ledger with a policy, before its first request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "keep_compilations", lambda cache_dir: None)
        place = tmp_path_factory.mktemp("begun")
        assert small.init(place, "--retrain-every", "2") == 0
    return small.Begun(place)


@pytest.fixture
def place(begun, tmp_path):
    """A copy of it."""
    return begun.copy(tmp_path)
