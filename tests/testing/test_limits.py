"""Quick settings come from the names of a Config's fields."""

from dataclasses import dataclass

import pytest

from junlearn.errors import ConfigError
from junlearn.methods import METHODS
from junlearn.testing import quick
from junlearn.testing.limits import LIMITS


@dataclass(frozen=True, kw_only=True)
class Config:
    epochs: int = 10
    vae_epochs: int = 1
    repair_epochs: int = 0
    warmup_epochs: float = 3.0
    max_epochs: int = 9
    forget_batch_size: int = 128
    steps: int | None = None
    noise_steps: int = 250
    pseudo_batches: int = 1000
    footsteps: int = 99

    def __post_init__(self):
        if self.epochs > 100:
            raise ValueError("too many")


def test_whole_numbers_that_say_how_long_a_run_is_get_small():
    assert quick(Config) == Config(epochs=2, forget_batch_size=8, noise_steps=7, pseudo_batches=2)


def test_settings_go_before():
    assert quick(Config, epochs=3, footsteps=1).epochs == 3
    assert quick(Config, footsteps=1).footsteps == 1


@pytest.mark.parametrize("settings", [{"epochs": 101}, {"epoch": 1}])
def test_what_a_config_refuses_is_one_line(settings):
    with pytest.raises(ConfigError, match=r"^Config\(.*cannot be made: .*; give a config$"):
        quick(Config, **settings)


@pytest.mark.parametrize("name", METHODS)
def test_every_registered_config_has_some(name):
    config = quick(METHODS[name].Config)
    assert getattr(config, "epochs", 1) <= LIMITS["epochs"]
    assert getattr(config, "batch_size", 1) <= LIMITS["batch_size"]
