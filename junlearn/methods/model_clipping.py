"""Model clipping: descend on retain data, and hide the weights after every step in a ball by noise. Certified.

Setting: retain images and labels.

    (1)  theta_0 = clip(theta_o, C0) + sigma0 N(0, I);   clip(v, C) = v min(1, C/|v|), the norm of all arrays together
    (2)  "after":   theta_{t+1} = clip(theta_t - eta (g_t + lam theta_t), C2) + sigma N(0, I)
         "before":  theta_0 <- clip(theta_0, C2);  theta_{t+1} = clip(theta_t - eta clip(g_t + lam theta_t, C1)
                    + sigma N(0, I), C2);   g_t = gradient of the mean CE of a batch of D_r
    (3)  training on D_r without noise, from theta_T

Guarantee: for every D_f, the law of the finished network is (epsilon, delta)-close in both directions to the law that
(1) to (3) give from a network trained without D_f. Nothing is assumed of the loss, the rate or the original: (2) may be
any function of theta_t and D_r, as long as it carries nothing else over (no momentum, no running statistics, which are
refused). The noise is independent in every step, the settings are not tuned on D_f, and the seed is secret. The
accounting is equations A4 to A6 of `junlearn.parts.accounting.mechanisms`; `noisy_steps` None makes as many steps as
they ask for.

The honest baseline: the ball of C2 is so small beside the noise that little of the original is left. Compare with
`retrain`, or `eu_k` with k = -1, for as many epochs as (3) has.

Defaults (the release's for MNIST; its rate is a range, 1e-4 to 0.01, and lam one of 0.01, 500 and 900):

    epsilon          1.0
    delta            1e-05
    sigma            0.01
    form             "after"
    init_clip        7.0
    model_clip       0.001
    grad_clip        1.0
    start_sigma      0.0
    noisy_steps      None
    noisy_rate       0.001
    noisy_decay      0.01
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

Fields from `optimizer` on are those of (3); its momentum and `grad_clip` are ours. The release's for CIFAR-10:
init_clip 30, model_clip 0.2 to 0.975, sigma 0.5 (0.2), noisy_rate 1e-4 to 0.01, noisy_decay 0 to 100.

What the release claims and does not hold: the same noise vector in every step (see `noisy_finetune`); in the form
"before", a first step that starts outside of the ball that its bound is for; a bound by 1 - erf, which has no digits
below 1e-12.

Reference: arXiv 2506.06985 (ICML 2025).
"""

import math
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np

from junlearn.fields import NonNegative, Positive
from junlearn.parts import noise
from junlearn.parts.accounting.mechanisms import ModelClipping
from junlearn.parts.certified import Certified, budget_of, certified
from junlearn.parts.descent import Descent
from junlearn.types import Key, Method, Model, PyTree, Range, Space

__all__ = ["NEEDS", "SPACE", "Config", "State", "begun", "contained", "make", "moved"]

NEEDS = frozenset({"retain.x", "retain.y"})
State = Descent


@dataclass(frozen=True, kw_only=True)
class Config(Certified):
    """Hyper-parameters of model clipping."""

    sigma: Positive | None = 0.01
    form: Literal["after", "before"] = "after"
    """Noise after the clipping, or before it."""
    init_clip: Positive = 7.0
    """C0."""
    model_clip: Positive = 1e-3
    """C2."""
    grad_clip: Positive = 1.0
    """C1, of the form "before" alone."""
    start_sigma: NonNegative = 0.0
    """sigma0; 0: no noise at the start."""
    noisy_rate: Positive = 1e-3
    noisy_decay: NonNegative = 0.01


# Epsilon and delta are a promise, not settings to search: the steps are made for them. Rate and decay of the noisy
# steps are those of the release.
SPACE: Space = {
    "noisy_rate": Range(1e-4, 0.01, log=True),
    "noisy_decay": Range(0.01, 900.0, log=True),
    "learning_rate": Range(0.01, 1.0, log=True),
    "epochs": Range(1, 30),
}


def begun(config: Config, params: PyTree, drawn: PyTree) -> PyTree:
    """Equation 1 with the noise `drawn`, and the clipping that the form "before" begins with."""
    params = noise.added(noise.ball(params, config.init_clip), drawn, config.start_sigma)
    return noise.ball(params, config.model_clip) if config.form == "before" else params


def moved(config: Config, params: PyTree, gradient: PyTree) -> PyTree:
    """Equation 2 up to the noise."""
    rate, decay = config.noisy_rate, config.noisy_decay
    towards = jax.tree.map(lambda w, g: g + decay * w, params, gradient)
    if config.form == "before":
        towards = noise.ball(towards, config.grad_clip)
    after = jax.tree.map(lambda w, d: w - rate * d, params, towards)
    return noise.ball(after, config.model_clip) if config.form == "after" else after


def contained(config: Config, params: PyTree) -> PyTree:
    """Equation 2 after the noise."""
    return noise.ball(params, config.model_clip) if config.form == "before" else params


def make(config: Config, model: Model) -> Method:
    """Clipped weights, steps into the ball with noise, repair."""
    before = config.form == "before"
    mechanism = ModelClipping(
        model_clip=config.model_clip,
        init_clip=config.init_clip if config.start_sigma else math.inf,
        sigma0=config.start_sigma,
        update_clip=config.noisy_rate * config.grad_clip if before else 0.0,
    )
    budget = budget_of(config, mechanism)
    certificate = {
        "mechanism": "model clipping",
        **budget._asdict(),
        "start_sigma": config.start_sigma,
    }

    def start(params: PyTree, key: Key) -> PyTree:
        return begun(config, params, noise.draw(key, params))

    return certified(
        *(config, model, "model_clipping", start, certificate, budget.steps),
        move=lambda params, gradient: moved(config, params, gradient),
        sigmas=np.full(budget.steps, budget.sigma),
        contain=lambda params: contained(config, params),
    )
