"""Options that name the code of somebody else: `--method.LABEL.file`, `--model.module` and the like.

What a section is about decides which options there are, so these are read before all others.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from junlearn.errors import ConfigError
from junlearn.experiment.sections import CODE, COMPONENTS, OPTIONAL, has_field, table_of
from junlearn.plugins.contract import FIXED

__all__ = ["taken"]

OPTION = re.compile(
    rf"--(?P<kind>{'|'.join((*COMPONENTS, *OPTIONAL))}|(?:method|metric)\.(?P<label>[^.=]+))\.(?P<key>file|module)"
)


def taken(table: Mapping[str, Any], arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """`table` with the code that the options among `arguments` name, and the arguments that are left.

    A method whose code is named is one of those that run, a metric one of those that are computed. An option that is a
    field of the thing itself, as the file of the scenario `rows` is, stays. Raises ConfigError for one without a value.
    """
    found, rest = dict(table), []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        option, equals, value = argument.partition("=")
        match = OPTION.fullmatch(option)
        if match is None or not _is_code(found, match):
            rest.append(argument)
            continue
        if not equals:
            if not waiting or waiting[0].startswith("--"):
                raise ConfigError(f"{option}: the {match['key']} of a plug-in is missing")
            value = waiting.pop(0)
        _place(found, match, os.path.abspath(value) if match["key"] == "file" else value)
    return found, rest


def _is_code(table: Mapping[str, Any], match: re.Match[str]) -> bool:
    """Whether the option names code: it does unless the thing that the section is about has a field of that name."""
    kind, label = _kind(match), match["label"]
    section = table_of(kind, table.get(kind, {}))
    if label is not None:
        label = label.replace("-", "_")
        section = table_of(f"{kind}.{label}", section.get(label, {}))
    return not has_field(kind, section.get("name", label), match["key"])


def _place(table: dict[str, Any], match: re.Match[str], value: str) -> None:
    kind, code = _kind(match), {match["key"]: value}
    if match["label"] is None:
        table[kind] = _with(table.get(kind, {}), code)
        return
    label = match["label"].replace("-", "_")
    sections = dict(table.get(kind, {}))
    sections[label] = _with(sections.get(label, {}), code)
    table[kind] = sections
    names = f"{kind}s"
    if names in table and label not in table[names]:
        table[names] = [*table[names], label]


def _with(section: Mapping[str, Any], code: Mapping[str, str]) -> dict[str, Any]:
    """A section about this code; fields that were set for other code stay, those of a named thing do not."""
    was_code = "name" not in section and any(key in section for key in CODE)
    kept = {key: value for key, value in section.items() if key not in FIXED} if was_code else {}
    return kept | dict(code)


def _kind(match: re.Match[str]) -> str:
    return match["kind"].partition(".")[0]
