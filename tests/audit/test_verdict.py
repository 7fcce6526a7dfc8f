"""The words of an audit."""

import pytest

from junlearn.audit.verdict import CLOSER, FAMILY, NAMES, RANDOM_FAMILY, verdict

OPTIONS = {"networks": 32, "level": 0.05, "shift": 0.213}


def test_the_smallest_adjusted_p_names_its_test():
    text, adjusted = verdict({"energy": 0.001, "F": 0.02}, (), **OPTIONS)
    assert text == "distinguishable (p = 0.002, energy)"
    assert adjusted == {"energy": 0.002, "F": 0.02}


def test_what_is_not_told_apart_says_what_would_have_been_seen():
    text, _ = verdict({"energy": 0.03, "F": 0.6}, (), **OPTIONS)
    assert text == "indistinguishable at N = 32 (a mean shift of 0.21 sd would have been seen)"
    text, _ = verdict({"energy": 0.03, "F": 0.6}, (), **OPTIONS | {"shift": None})
    assert text == "indistinguishable at N = 32"


def test_more_alike_than_retraining():
    assert verdict({"energy": 1.0}, ["energy"], **OPTIONS)[0] == CLOSER
    # A difference that is there counts more.
    assert verdict({"energy": 0.001}, ["F"], **OPTIONS)[0].startswith("distinguishable")


@pytest.mark.parametrize("p", [0.001, 0.5])
def test_one_original_is_said(p):
    text, _ = verdict({"energy": p}, (), **OPTIONS, conditional=True)
    assert text.endswith(", conditional on one original")


def test_without_tests_there_is_no_verdict():
    assert verdict({}, (), **OPTIONS) == ("no test", {})


def test_every_test_of_the_family_has_a_name():
    assert {*FAMILY, *RANDOM_FAMILY} == set(NAMES)
