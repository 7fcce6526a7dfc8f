"""A network at the Python door, and a guard: nothing runs before the inputs are checked."""

import pytest

from tests.door import DATA, KEY, MODEL


@pytest.fixture(scope="module")
def network():
    return MODEL.fresh(KEY, {"train": DATA})


@pytest.fixture
def unrun(monkeypatch):
    """An error comes before a network is trained or asked."""
    runs = ("api.run", "api.train_fresh", "api.many.train_many")
    for place in (*runs, "interactive.judging.Evaluator.context"):
        monkeypatch.setattr(f"junlearn.{place}", lambda *_, **__: pytest.fail("it ran"))
