"""Output perturbation: clip the weights and add noise once. Certified.

Setting: retain images and labels.

    (1)  theta = clip(theta_o, C0) + sigma N(0, I);   clip(v, C) = v min(1, C/|v|), the norm of all arrays together
    (2)  training on D_r without noise, from theta

Guarantee: for every D_f, the law of the finished network is (epsilon, delta)-close in both directions to the law that
(1) and (2) give from a network trained without D_f. Nothing is assumed of the loss or of how the original was trained.
Networks with running statistics are refused, the settings are not tuned on D_f, and the seed is secret. sigma is the
smallest with  delta = Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu),  mu = 2 C0/sigma  (G1 of
`junlearn.parts.accounting.gaussian`).

The honest baseline: the noise has the norm sigma sqrt(P) beside weights of norm C0, so the original is thrown away.
What is left is a random start and (2): compare with `retrain`, or `eu_k` with k = -1, for as many epochs.

Defaults (C0 and the bounds are the release's, whose C0 is 0.01 to 1; its training of (2) is that of `noisy_finetune`):

    epsilon          1.0
    delta            1e-05
    sigma            None
    init_clip        0.01
    optimizer        "sgd"
    learning_rate    0.1
    momentum         0.9
    weight_decay     0.0005
    epochs           10
    steps            None
    overshoot        False
    batch_size       128
    schedule         "one_cycle"
    warmup_epochs    0.0
    milestones       ()
    decay            0.2
    augment          False
    keep             "last"
    label_smoothing  0.0

The preset `output_perturbation_released` has the released sigma = 2 C0 sqrt(2 ln(1.25/delta))/eps. That formula holds
for eps <= 1 only, and asks for 1.3 times the noise that is needed there.

Reference: arXiv 2506.06985 (ICML 2025), as a baseline.
"""

from dataclasses import dataclass

from junlearn.fields import Positive
from junlearn.parts import noise
from junlearn.parts.accounting.mechanisms import OutputPerturbation, solve
from junlearn.parts.accounting.released import classic_sigma
from junlearn.parts.certified import Repaired, certified
from junlearn.parts.descent import Descent
from junlearn.types import Key, Method, Model, Preset, PyTree, Range, Space

__all__ = ["NEEDS", "PRESETS", "SPACE", "Config", "State", "make", "perturbed"]

NEEDS = frozenset({"retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Repaired):
    """Hyper-parameters of output perturbation."""

    init_clip: Positive = 0.01
    """C0."""


# Epsilon and delta are a promise, not settings to search: sigma is made for them. C0 as in the release.
SPACE: Space = {
    "init_clip": Range(0.01, 1.0, log=True),
    "learning_rate": Range(0.01, 1.0, log=True),
    "epochs": Range(1, 30),
}

PRESETS = {
    "output_perturbation_released": Preset(
        "output perturbation with the noise of its release for epsilon 1: 0.75 is certified",
        {"sigma": classic_sigma(Config.init_clip, Config.epsilon, Config.delta)},
        # Another init_clip with this sigma would be another promise.
        {name: found for name, found in SPACE.items() if name != "init_clip"},
    )
}


def perturbed(params: PyTree, drawn: PyTree, init_clip: float, sigma: float) -> PyTree:
    """Equation 1 with the noise `drawn`."""
    return noise.added(noise.ball(params, init_clip), drawn, sigma)


def make(config: Config, model: Model) -> Method:
    """Clipped weights with noise, and repair."""
    given = config.sigma
    budget = solve(
        OutputPerturbation(config.init_clip),
        epsilon=None if given is not None else config.epsilon,
        delta=config.delta,
        sigma=given,
        steps=1,
    )
    certificate = {"mechanism": "output perturbation", **budget._asdict()}

    def start(params: PyTree, key: Key) -> PyTree:
        return perturbed(params, noise.draw(key, params), config.init_clip, budget.sigma)

    return certified(config, model, "output_perturbation", start, certificate)
