"""Time of the exact Fisher diagonal of a batch: over a plain batch gradient, and over PyTorch's vmap(grad).

    python benchmarks/fisher.py
    python benchmarks/fisher.py --cases mnist-cnn-b128 --rounds 9

Four programs in one process, in alternating rounds: the sum over the examples of their squared gradients as `ssd`
takes it, the gradient of the batch's mean loss with the same network, the squares by a pass for every example (what
any network falls back to), and PyTorch's `vmap(grad)`, squared and summed. Random data, eval mode.
"""

import argparse
import math
import os
from collections.abc import Callable

from step_time import Work, medians, print_machine

CASES = {
    "mnist-cnn-b128": ("laf_cnn", (28, 28, 1), 128),
    "resnet18-b16": ("resnet18", (32, 32, 3), 16),
}


def jax_work(name: str, input_shape: tuple[int, int, int], batch: int) -> dict[str, Work]:
    """The squares, a plain gradient and the squares one example after the other, compiled."""
    import jax
    import jax.numpy as jnp
    import optax

    from junlearn.compiler import jitted
    from junlearn.models import MODELS
    from junlearn.parts.gradients import sum_of_powers

    component = MODELS[name]
    model = component.make(component.Config(), 10, input_shape)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch * math.prod(input_shape),)).reshape(batch, *input_shape)
    y = jax.random.randint(keys[1], (batch,), 0, 10)
    mask = jnp.ones(batch, bool)
    variables = jax.jit(model.init)(keys[2], x[:1])

    def losses(logits):
        return optax.softmax_cross_entropy_with_integer_labels(logits, y)

    def plain(variables, x):
        def mean(params):
            return losses(model.apply(variables._replace(params=params), x)[0]).mean()

        return jax.grad(mean)(variables.params)

    def squares(model):
        return lambda variables, x: sum_of_powers(
            model, variables, x, mask, lambda logits: losses(logits)[None]
        )

    def compiled(function: Callable) -> Work:
        run = jitted(function)
        return lambda: jax.block_until_ready(run(variables, x))

    return {
        "squares": compiled(squares(model)),
        "plain gradient": compiled(plain),
        "one by one": compiled(squares(model._replace(examplewise=None))),
    }


def torch_work(name: str, input_shape: tuple[int, int, int], batch: int) -> Work:
    """`vmap(grad)` over the examples, squared and summed."""
    import torch
    from torch.func import functional_call, grad, vmap
    from torch_models import LafCnn, ResNet18

    torch.manual_seed(0)
    module = {"laf_cnn": LafCnn, "resnet18": ResNet18}[name]().eval()
    weights = {key: value.detach() for key, value in module.named_parameters()}
    buffers = dict(module.named_buffers())
    height, width, channels = input_shape
    x = torch.randn(batch, channels, height, width)
    y = torch.randint(10, (batch,))

    def loss(weights, image, label):
        logits = functional_call(module, {**weights, **buffers}, (image[None],))
        return torch.nn.functional.cross_entropy(logits, label[None])

    per_example = vmap(grad(loss), in_dims=(None, 0, 0))

    def work() -> None:
        for gradient in per_example(weights, x, y).values():
            gradient.square().sum(0)

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description="exact Fisher diagonal of a batch")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    arguments = parser.parse_args()

    # XLA sizes its thread pool by the CPUs that the process may use, so this comes before the imports.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    import torch

    torch.set_num_threads(arguments.threads)
    print_machine(arguments.threads)
    print(f"rounds: {arguments.rounds}")
    print(f"{'case':<18}{'program':<22}{'ms':>10}{'over plain':>12}{'over vmap(grad)':>17}")
    for case in arguments.cases:
        work = {**jax_work(*CASES[case]), "PyTorch vmap(grad)": torch_work(*CASES[case])}
        seconds = medians(work, arguments.rounds)
        for program, value in seconds.items():
            plain, torch_time = seconds["plain gradient"], seconds["PyTorch vmap(grad)"]
            print(
                f"{case:<18}{program:<22}{value * 1e3:>10.1f}{value / plain:>12.2f}"
                f"{value / torch_time:>17.2f}"
            )


if __name__ == "__main__":
    main()
