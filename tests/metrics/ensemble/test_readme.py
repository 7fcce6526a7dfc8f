"""The page on the metrics of ensembles names every function of them."""

import inspect

from junlearn.metrics import ensemble
from tests.conftest import ROOT

PAGE = "junlearn/metrics/ensemble/README.md"


def test_every_function_is_on_the_page():
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    functions = [name for name in ensemble.__all__ if inspect.isfunction(getattr(ensemble, name))]
    assert len(functions) > 50
    assert [name for name in functions if f"`{name}`" not in text and f"`{name}(" not in text] == []
