"""An audit as one HTML file: it loads nothing, needs no script to be read, and can be printed.

Read `content` first: what stands on the page, from rows and arrays. `glossary` says what the numbers are. How it looks
is in `junlearn.reports.page`, with what all pages have in common.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from junlearn.errors import ConfigError
from junlearn.files import replace
from junlearn.reports.audit_cells import Row
from junlearn.reports.audit_page.content import content
from junlearn.reports.audit_plots import pictures
from junlearn.reports.audit_style import Examples
from junlearn.reports.audit_table import audits
from junlearn.reports.page import rendered

__all__ = ["LIMIT", "is_current", "page", "write_page"]

LIMIT = 5_000_000
"""Bytes of a page. Pictures that do not fit are left out, and the page says so."""
MARKED = ("config_hash", "role", "method", "time", "versions")
"""Fields of a line that tell it from any other."""
HEAD = 2000
"""Characters at the beginning of a page among which its mark is."""


def page(rows: Sequence[Row], examples: Examples, command: str | None = None) -> str:
    """The page of one audit.

    `rows` are lines of `audit.jsonl` of one bank; `examples` holds the arrays of each row under its label, as far as
    there are any; `command` is what to run to repeat the audit, with a configuration in `audit.toml` where
    it is None. Raises ConfigError for no rows, and for those of several banks.
    """
    groups = audits(rows)
    if len(groups) != 1:
        raise ConfigError(f"the page of an audit has the rows of one bank, not of {len(groups)}")
    text = content(groups[0], examples, command) | {"mark": _mark(rows)}
    return rendered("audit.html", text, lambda: pictures(groups[0], examples), LIMIT)


def write_page(
    rows: Sequence[Row], examples: Examples, path: Path, command: str | None = None
) -> None:
    """Write `page(...)` to `path` in one step; its folder is made. Raises ConfigError as `page` does."""
    text = page(rows, examples, command)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, text)


def is_current(rows: Sequence[Row], path: Path) -> bool:
    """Whether the page of just these lines, in this order, is at `path`: drawing it takes seconds."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return f'<meta name="audit" content="{_mark(rows)}">' in file.read(HEAD)


def _mark(rows: Sequence[Row]) -> str:
    """Names what is on a page."""
    text = json.dumps([[row.get(name) for name in MARKED] for row in rows], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
