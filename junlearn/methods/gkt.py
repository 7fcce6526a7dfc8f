"""GKT, gated knowledge transfer: a student learns from the teacher on generated images that the gate lets through.

Setting: zero-shot, no data at all: the network, the shape of its input and the forgotten classes of a class request.
S: student, T: teacher, the network before, held fixed; G: generator of images from a latent z ~ N(0, I).

    (1)  x = G(z),  rows kept where  sum_{y forgotten} softmax(T(x))_y <= threshold
    (2)  KL = mean over the kept rows of  sum_c p_T (log p_T - log p_S),  p = softmax(logits / temperature)
    (3)  A(h) = q / ||q||_2,  q = mean over the channels of h^2;  AT_l = mean of (A(h_l^S) - A(h_l^T))^2
    (4)  generator:  minimise  -KL  over G, through teacher and student
    (5)  student:    minimise   KL + attention sum_l AT_l  over S, x held fixed
    (6)  a cycle: `generator_steps` accepted iterations of (4), then `student_steps` of (5); an iteration is accepted if
         a row is kept, and z is drawn again after as many calls of G as a cycle has steps, accepted or not

`pseudo_batches` cycles, or `max_passes` times the iterations that these take where every one is accepted, whichever
ends first. The layers of (3) are the features of the model with image axes. Gradients are clipped to a norm of `clip`.
The student's BatchNorm takes the kept rows alone; the teacher is in eval mode.

Defaults (as in JiT, arXiv 2402.01401, on VGG; for a vision transformer batches of 8, 1 + 5 steps, 101 cycles):

    pseudo_batches           1000
    generator_steps          2
    student_steps            15
    batch_size               128
    threshold                0.01
    temperature              1.0
    attention                5.0
    clip                     5.0
    generator_learning_rate  0.01
    generator_momentum       0.9
    student_learning_rate    0.1
    student_momentum         0.9
    schedule                 "one_cycle"
    student                  "fresh"
    train_mode               True
    reduction                "batch"
    latent                   128
    channels                 (64, 64, 32)
    max_passes               2

Deviations from the release of JiT: its student is the teacher with new convolution kernels (student="convolutions"),
which keeps the forgotten class in the linear layers, its divergence is divided by the number of classes too
(reduction="element"), and its teacher is in train mode. Reference: Chundawat, Tarun, Mandal, Kankanhalli,
"Zero-Shot Machine Unlearning", IEEE TIFS 2023 (arXiv 2201.05629), whose student is fresh too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from junlearn.compiler import jitted
from junlearn.errors import ConfigError
from junlearn.fields import BatchSize, Count, Fraction, Momentum, NonNegative, Positive
from junlearn.models.generator import make_generator
from junlearn.parts import feeds, losses, optimizers
from junlearn.parts.passes import marks
from junlearn.parts.reinitialise import redraw_convolutions
from junlearn.types import (
    Array,
    Batch,
    Feed,
    Key,
    Method,
    Metrics,
    Model,
    PyTree,
    Range,
    Sources,
    Space,
    Split,
    Stage,
    Variables,
)

__all__ = ["NEEDS", "SPACE", "Config", "State", "draw", "gate", "make", "transfer", "updater"]

NEEDS: frozenset[str] = frozenset()

EPOCH_CYCLES = 50
"""Cycles in an epoch, at whose end the driver asks whether all are done: an entry of the history."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of GKT."""

    pseudo_batches: Count = 1000
    """Cycles of equation 6."""
    generator_steps: Count = 2
    student_steps: Count = 15
    batch_size: BatchSize = 128
    """Images generated in an iteration, before the gate."""
    threshold: Fraction = 0.01
    """Largest probability of the forgotten classes that the gate lets through."""
    temperature: Positive = 1.0
    attention: NonNegative = 5.0
    """Weight of the attention terms."""
    clip: Positive = 5.0
    """Largest norm of a gradient."""
    generator_learning_rate: Positive = 0.01
    generator_momentum: Momentum = 0.9
    student_learning_rate: Positive = 0.1
    """Rate of the student, the peak of a one-cycle schedule."""
    student_momentum: Momentum = 0.9
    """For a constant schedule; one_cycle moves it from 0.95 to 0.85 and back."""
    schedule: Literal["constant", "one_cycle"] = "one_cycle"
    """Of the student's rate, over its own accepted steps."""
    student: Literal["convolutions", "fresh", "teacher"] = "fresh"
    """How the student starts: new, or as the teacher, or as the teacher with its convolution kernels drawn anew."""
    train_mode: bool = True
    """Run the student in train mode, its BatchNorm with the statistics of the kept rows."""
    reduction: Literal["batch", "element"] = "batch"
    """element: divide the divergence by the number of classes too, as released."""
    latent: Count = 128
    """Numbers in z."""
    channels: tuple[Count, Count, Count] = (64, 64, 32)
    """Widths of the generator."""
    max_passes: Count = 2
    """Most iterations, in units of those that are needed where every one is accepted."""


SPACE: Space = {
    "generator_learning_rate": Range(1e-4, 0.1, log=True),
    "student_learning_rate": Range(1e-3, 1.0, log=True),
    "threshold": Range(1e-3, 0.3, log=True),
    "attention": Range(0.5, 50.0, log=True),
}


class State(NamedTuple):
    """What the next iteration needs."""

    generator: Variables
    generator_optimizer: PyTree
    student: Variables
    student_optimizer: PyTree
    teacher: Variables
    latent: Array
    """float[B,D]: z."""
    calls: Array
    """Calls of the generator with this z."""
    accepted: Array
    """Accepted iterations."""
    forgotten: Array
    """bool[K]: the classes of the request."""
    key: Key
    step: Array


def gate(logits: Array, forgotten: Array, threshold: float) -> Array:
    """Equation 1: bool[B] from the teacher's `logits[B,K]` and `forgotten[K]`."""
    return jax.nn.softmax(logits) @ forgotten.astype(logits.dtype) <= threshold


def transfer(target: Array, output: Array, keep: Array, temperature: float, kind: str) -> Array:
    """Equation 2 of two arrays of logits [B,K] over the rows in `keep[B]`; `kind` is a `Config.reduction`."""
    log_target, log_output = (jax.nn.log_softmax(z / temperature) for z in (target, output))
    value = losses.divergence(log_target, log_output, keep)
    return value / target.shape[-1] if kind == "element" else value


def draw(key: Key, rows: int, size: int) -> Array:
    """Latent vectors [rows,size]."""
    return jax.random.normal(key, (rows * size,)).reshape(rows, size)


def updater(
    config: Config, model: Model
) -> Callable[[State, tuple[int, ...], Array, Key], tuple[State, Metrics]]:
    """`update(state, image_shape, z, key) -> (state, metrics)`: one iteration, with the next z if one is due."""
    cycle = config.generator_steps + config.student_steps
    generator_tx, student_tx = _optimizers(config)

    def attention(student: Mapping[str, Array], teacher: Mapping[str, Array], keep: Array) -> Array:
        spatial = [name for name in student if student[name].ndim == 4]
        gaps = [losses.attention_gap(student[name], teacher[name], keep) for name in spatial]
        return sum(gaps, jnp.zeros(()))

    def update(
        state: State, image_shape: tuple[int, ...], latent: Array, key: Key
    ) -> tuple[State, Metrics]:
        stale = state.calls == cycle
        latent = jnp.where(stale, latent, state.latent)
        calls = jnp.where(stale, 0, state.calls) + 1
        generator = make_generator(image_shape, config.latent, config.channels)
        images, pull_back, moved = jax.vjp(
            lambda params: generator.apply(Variables(params, state.generator.stats), latent),
            state.generator.params,
            has_aux=True,
        )
        target, shown, _ = model.apply(state.teacher, images)
        keep = gate(target, state.forgotten, config.threshold)
        # Nothing is accepted after the last cycle: the driver asks at the end of an epoch only.
        keep &= state.accepted < config.pseudo_batches * cycle
        state = state._replace(
            generator=state.generator._replace(stats=moved), latent=latent, calls=calls
        )

        def answer(params: PyTree, x: Array) -> tuple[Array, dict[str, Array], PyTree]:
            student = Variables(params, state.student.stats)
            return model.apply(student, x, train=config.train_mode, key=key, mask=keep)

        def reject(state: State) -> tuple[State, Array, Array]:
            return state, jnp.zeros((), target.dtype), jnp.zeros((), target.dtype)

        def train_generator(state: State) -> tuple[State, Array, Array]:
            def loss(x: Array) -> Array:
                z = model.apply(state.teacher, x, mask=keep)[0], answer(state.student.params, x)[0]
                return -transfer(*z, keep, config.temperature, config.reduction)

            value, slope = jax.value_and_grad(loss)(images)
            params, optimizer = optimizers.move(
                generator_tx, pull_back(slope)[0], state.generator_optimizer, state.generator.params
            )
            generator = state.generator._replace(params=params)
            return state._replace(generator=generator, generator_optimizer=optimizer), value, -value

        def train_student(state: State) -> tuple[State, Array, Array]:
            def loss(params: PyTree) -> tuple[Array, tuple[Array, PyTree]]:
                output, features, stats = answer(params, images)
                kl = transfer(target, output, keep, config.temperature, config.reduction)
                gap = attention(features, shown, keep)
                return kl + config.attention * gap, (kl, stats)

            (value, (kl, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(
                state.student.params
            )
            params, optimizer = optimizers.move(
                student_tx, gradient, state.student_optimizer, state.student.params
            )
            student = Variables(params, stats)
            return state._replace(student=student, student_optimizer=optimizer), value, kl

        training = jnp.where(state.accepted % cycle < config.generator_steps, 1, 2)
        state, value, kl = jax.lax.switch(
            jnp.where(keep.any(), training, 0), [reject, train_generator, train_student], state
        )
        accepted = state.accepted + keep.any()
        metrics = {"loss": value, "divergence": kl, "kept": keep.mean()}
        return state._replace(accepted=accepted, step=state.step + 1), metrics

    return update


def make(config: Config, model: Model) -> Method:
    """One stage without data."""
    cycle = config.generator_steps + config.student_steps
    update = updater(config, model)

    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        latent_key, key = jax.random.split(jax.random.fold_in(state.key, state.step))
        latent = draw(latent_key, config.batch_size, config.latent)
        # The batch has no rows, but the shape of what the network reads.
        return update(state, batch.x.shape[1:], latent, key)

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        if not split.classes:
            raise ConfigError("gkt forgets whole classes: it needs a scenario that names them")
        generator_key, student_key, latent_key, key = jax.random.split(key, 4)
        shape = model.example(sources).shape[1:]
        created = make_generator(shape, config.latent, config.channels)
        generator = jitted(created.init)(generator_key)
        if config.student == "fresh":
            student = model.fresh(student_key, sources)
        elif config.student == "convolutions":
            student = variables._replace(
                params=redraw_convolutions(student_key, variables.params, "gkt")
            )
        else:
            student = variables
        generator_tx, student_tx = _optimizers(config)
        return State(
            generator,
            optimizers.fresh(generator_tx, generator.params),
            jax.tree.map(jnp.array, student),
            optimizers.fresh(student_tx, student.params),
            jax.tree.map(jnp.array, variables),
            draw(latent_key, config.batch_size, config.latent),
            jnp.zeros((), jnp.int32),
            jnp.zeros((), jnp.int32),
            marks(split.classes, model.num_classes(variables, sources)),
            key,
            jnp.zeros((), jnp.int32),
        )

    def plan(split: Split) -> list[Stage]:
        cycles = min(config.pseudo_batches, EPOCH_CYCLES)

        def feed(rng: np.random.Generator, state: State) -> Feed:
            return feeds.dataless(cycles * cycle)

        def complete(state: State, evaluate: Callable[..., dict[str, float]]) -> bool:
            return int(state.accepted) == config.pseudo_batches * cycle

        epochs = -(-config.max_passes * config.pseudo_batches // cycles)
        return [Stage("transfer", step, feed, epochs, until=complete)]

    return Method(init, plan, lambda state: state.student)


def _optimizers(
    config: Config,
) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
    """Of the generator and of the student; the student's schedule counts its own steps."""
    cycle, peak = config.student_steps, config.student_learning_rate
    total = cycle * config.pseudo_batches
    rate = optimizers.schedule(config.schedule, peak, steps_per_epoch=cycle, total=total)
    cycled = optimizers.cycled_momentum(total)
    momentum = cycled if config.schedule == "one_cycle" else None
    generator = optimizers.Optimizer(
        learning_rate=config.generator_learning_rate, momentum=config.generator_momentum
    )
    student = optimizers.Optimizer(momentum=config.student_momentum)
    pair = optimizers.transformation(generator), optimizers.transformation(student, rate, momentum)
    generator_tx, student_tx = (optimizers.clipped(tx, config.clip) for tx in pair)
    return generator_tx, student_tx
