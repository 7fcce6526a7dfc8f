"""A network at the Python door, and a guard: nothing runs before the inputs are checked."""

import pytest

from tests.door import DATA, KEY, MODEL


@pytest.fixture(scope="module")
def network():
    return MODEL.fresh(KEY, {"train": DATA})


@pytest.fixture
def unrun(monkeypatch):
    """An error comes before a network is trained or asked."""
    for place in ("run", "train_fresh", "many.train_many", "Evaluator"):
        monkeypatch.setattr(f"junlearn.api.{place}", lambda *_, **__: pytest.fail("it ran"))
