"""A report on what was done: one HTML file for somebody who was not there, or a model card in Markdown.

Read `reported` first, what a report is about, then `body`, what stands in it. `account` tells the request and the work,
`comparison` the numbers, `meanings` what each is, `by_class` what the networks say, `figures` the pictures. How it
looks is in `junlearn.reports.page`.
"""

import re
from typing import Any

from markupsafe import Markup

from junlearn.reports.page import environment, rendered
from junlearn.reports.pictures.one_plane import Project, principal, stochastic
from junlearn.reports.run_page.body import body
from junlearn.reports.run_page.figures import pictures
from junlearn.reports.run_page.reported import Experiment, Subject, heading

__all__ = ["LIMIT", "Experiment", "Subject", "card", "escaped", "heading", "page"]

LIMIT = 3 * 2**20
"""Bytes of a page. Pictures that do not fit are left out, and the page says so."""
SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&])")
"""What Markdown would not take as it is."""


def page(subject: Subject, *, tsne: bool = False) -> str:
    """The report as a page of HTML that loads nothing; `tsne`: embeddings by t-SNE, else by principal components."""
    project: Project = stochastic if tsne else principal
    first = subject.experiments[0]
    how = "t-SNE" if tsne else "the first two principal components"
    return rendered(
        "run.html",
        body(subject) | {"projection": how},
        lambda: pictures(first.records, first.found, project),
        LIMIT,
    )


def card(subject: Subject) -> str:
    """The report as a model card in Markdown, without pictures."""
    template = environment(autoescape=False, mark=escaped).get_template("card.md")
    found: dict[str, Any] = body(subject)
    return template.render(found, fenced=_fenced)


def escaped(text: str) -> str:
    """Text in one line that Markdown shows as it is."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _fenced(text: str, kind: str = "") -> Markup:
    """A block of code, with a fence that nothing in it ends."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}{kind}\n{text.strip()}\n{fence}")
