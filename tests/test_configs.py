"""Every file in configs/: what it says at its head is how to run it, and it parses."""

from pathlib import Path

import pytest

from junlearn import config, sweep

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "configs").rglob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_configuration_parses_and_names_itself(path):
    table = config.read(path)
    if "sweep" in table:
        assert sweep.expand(table)
    else:
        assert config.parse(table).methods
    head = path.read_text().split("\n\nmethods")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    command = "main sweep --config" if "sweep" in table else "main --config"
    assert f"{command} {path.relative_to(ROOT)}" in head
    assert "xpected" in head or "Numbers of the released code" in head
