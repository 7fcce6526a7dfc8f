"""What all pages share: one skeleton, one style sheet, one script, and nothing that is loaded from elsewhere.

`templates` holds the pages themselves, `drawings` makes pictures part of a page, `configuration` writes what can be run
again. What stands on a page is the work of `junlearn.reports.audit_page` and `junlearn.reports.run_page`.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from junlearn.reports.page.drawings import Picture, drawings
from junlearn.text.terminal import printable

__all__ = ["environment", "rendered"]


def rendered(
    name: str, text: Mapping[str, Any], pictures: Callable[[], Iterable[Picture]], limit: int
) -> str:
    """The page of the template `name` filled with `text` and, while the page has at most `limit` bytes, with pictures.

    The template finds the pictures in `drawn`, by their names, and the titles of those without room in `left_out`.
    """
    template = environment(autoescape=True).get_template(name)
    script = Markup(resources.files(__name__).joinpath("templates", "sort.js").read_text("utf-8"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    whole = {**text, "script": script, "digest": digest}
    bare = template.render(whole, drawn={}, left_out=[])
    drawn, left_out = drawings(pictures(), limit - len(bare.encode()))
    return template.render(whole, drawn=drawn, left_out=left_out)


def environment(*, autoescape: bool, mark: Callable[[str], str] = lambda text: text) -> Environment:
    """The templates; every string from outside has nothing that would turn or end a line, and is passed to `mark`.

    With `autoescape` it is escaped for HTML. What is Markup stays as it is.
    """
    return Environment(
        loader=PackageLoader(__name__),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            value if isinstance(value, Markup) else mark(printable(value, keep="\n"))
        ),
    )
