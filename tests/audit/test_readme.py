"""The page on audits has every setting of the section."""

import dataclasses

from junlearn.experiment.auditing import Auditing
from tests import pages

PAGE = "junlearn/audit/README.md"


def test_every_setting_has_a_row():
    assert {field.name for field in dataclasses.fields(Auditing)} <= set(pages.rows(PAGE))
