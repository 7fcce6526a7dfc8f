"""The notebook runs from its first cell to its last, and shows what its sentences say."""

import re

import nbformat
from nbclient import NotebookClient

from junlearn.metrics.explained import explained
from tests import pages
from tests.conftest import ROOT

NOTEBOOK = ROOT / "junlearn" / "notebooks" / "first_steps.ipynb"


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def row(text, name):
    """The numbers behind a name in a printed table."""
    return [
        float(number) for number in re.search(rf"^{name} +(.+)$", text, re.MULTILINE)[1].split()
    ]


def test_it_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = read()
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert {out.output_type for out in outputs} == {"stream", "execute_result"}
    shown = [out.data for out in outputs if out.output_type == "execute_result"]
    assert ["text/html" in data for data in shown] == [True, False, False]
    assert ["image/png" in data for data in shown] == [False, True, True]
    assert "<td" in shown[0]["text/html"] and ">ssd<" in shown[0]["text/html"]
    texts = [
        "".join(out.text for out in cell.get("outputs", []) if out.output_type == "stream")
        for cell in notebook.cells
    ]
    first, hand, last = filter(str.strip, texts)
    assert float(re.search(r"package: (.+)$", hand)[1]) < 1e-6
    for table, names in ((first, ("ssd",)), (last, ("ssd", "laf"))):
        assert row(table, "original")[1] > 0.9 and row(table, "retrained")[1] == 0
        for name in names:
            kept, left, _, tow = row(table, name)
            assert left < 0.1 and kept > 0.85 and tow > 0.85


def test_it_is_kept_without_outputs():
    """Else every run of it would change the file."""
    assert all(
        not cell.outputs and cell.execution_count is None
        for cell in read().cells
        if "outputs" in cell
    )


def test_its_links_and_values_are_there():
    text = "\n".join(cell.source for cell in read().cells)
    for target in pages.links(text):
        assert (NOTEBOOK.parent / target).resolve().exists(), target
    shown = {
        value.value
        for name in ("accuracy", "divergence", "tow")
        for value in explained(name).values
    }
    assert (
        set(re.findall(r'"([a-z]+(?:/[a-z_]+)?)"', re.search(r"COLUMNS = \((.+)\)", text)[1]))
        <= shown
    )
