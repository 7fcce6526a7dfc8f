"""Inputs of the modules that are adapted."""

import numpy as np
import pytest

from tests.models.adapted import SHAPE


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)
