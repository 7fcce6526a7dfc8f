"""Groups of a request by a score, and methods that are written as a text."""

import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import METHODS, finetune, salun
from junlearn.parts.refinement import groups, read
from junlearn.types import Split

NONE = np.zeros(0, int)
SPLIT = Split(np.array([3, 5, 8, 9, 11]), np.array([0, 1, 2]), NONE, NONE, classes=(1,))
SCORES = np.array([0.5, -1.0, 0.5, 2.0, 0.0])


@pytest.mark.parametrize("later", [False, True])
def test_groups_rise_with_the_score(later):
    first, second = groups(SPLIT, SCORES, 2, later=later)
    # 5 (-1), 11 (0), then 3 before 8, which have the same score.
    assert first.forget.tolist() == [3, 5, 11] and second.forget.tolist() == [8, 9]
    assert second.retain.tolist() == [0, 1, 2] and second.classes == (1,)
    if later:
        assert first.retain.tolist() == [0, 1, 2, 8, 9] and first.classes == ()
    else:
        assert first.retain.tolist() == [0, 1, 2] and first.classes == (1,)


def test_a_method_as_a_text():
    text = "finetune learning_rate=1 schedule=multistep milestones=[2,3] augment=true steps=none"
    wanted = finetune.Config(
        learning_rate=1.0, schedule="multistep", milestones=(2, 3), augment=True, steps=None
    )
    assert read(text, METHODS, "parts") == ("finetune", wanted)
    fields = salun.PRESETS["salun_released"].fields
    found = read("salun_released epochs=3", METHODS, "parts")
    assert found == ("salun", salun.Config(**{**fields, "epochs": 3}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "parts: unknown method ''"),
        ("finetun", "parts: unknown method 'finetun'; did you mean 'finetune'"),
        ("finetune epochs", "parts: 'epochs' in 'finetune epochs' is no pair field=value"),
        ("finetune epoch=1", "parts: unknown field of finetune 'epoch'; did you mean 'epochs'"),
        ("finetune epochs=two", "parts: 'finetune epochs=two': Expected `int`, got `str`"),
        ("finetune epochs=0", "Expected `int` >= 1"),
    ],
)
def test_bad_texts(text, message):
    with pytest.raises(ConfigError) as caught:
        read(text, METHODS, "parts")
    assert message in str(caught.value) and "\n" not in str(caught.value)
