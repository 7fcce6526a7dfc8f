"""The registered methods as the checks take them: with quick settings, on tiny problems, their runs made once."""

import functools

import pytest

from junlearn.methods import METHODS
from junlearn.testing import Subject, initial_weights, make_problem, quick, shortened, tiny

# One worker takes all tests of a method, and so makes its plain runs only once.
NAMES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in sorted(METHODS)]

SETTINGS = {
    # Beside what is derived from the fields: settings that reach more of a method, or without which it does nothing.
    "boundary_shrink": {"steps": 2},
    "certified_newton": {"depth": 3, "repeats": 2},
    "duck": {"target_accuracy": 0.0, "second_stage": True},
    "gkt": {
        "pseudo_batches": 3,
        "generator_steps": 1,
        "student_steps": 2,
        "threshold": 0.3,
        "latent": 4,
        "channels": (4, 4, 4),
    },
    "jit": {"perturbations": 3},
    "langevin": {"unlearn_epochs": 2},
    "mu_mis": {"stop_above": 0.5},
    "negmerge": {"rates": (1.0, 5.0), "seeds": 1},
    "rni": {"arrays": 3, "fine_rates": (0.01,)},
    "rum": {
        "parts": (
            "finetune epochs=1 batch_size=8",
            "naive",
            "random_labels epochs=2 batch_size=8",
        )
    },
    "scar": {"surrogate_steps": 2, "discard_last": True, "target": 0.0},
    "scar_self": {"stop": "epochs", "distil_without": True, "temperature": 2.0},
    "scrub": {"max_epochs": 1},
    "sisa": {"shards": 2, "slices": 2},
    "ssd": {"alpha": 1.0},
    "svd_projection": {"search": True, "retain_alphas": (100.0,), "forget_alphas": (3.0, 30.0)},
}

LINEAR = shortened(make_problem("mlp", size=4, hidden=()))
PROBLEMS = {
    **dict.fromkeys(("ct", "msg"), shortened(tiny("convnet"))),
    **dict.fromkeys(
        ("model_clipping", "noisy_finetune", "output_perturbation"), shortened(tiny("mlp"))
    ),
    "langevin": LINEAR,
}
"""Of methods that refuse a network without convolutions, with BatchNorm, or with hidden layers."""


@functools.cache
def subject_of(name):
    module = METHODS[name]
    config = quick(module.Config, **SETTINGS.get(name, {}))
    return Subject(module, config, PROBLEMS.get(name))


@functools.cache
def problem_of(kind):
    """A tiny problem, and weights for it that its training may have begun from."""
    return tiny(kind), initial_weights(tiny(kind))
