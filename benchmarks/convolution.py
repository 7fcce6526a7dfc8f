"""The convolutions and poolings of the registered networks against those of `jax.lax`: time of a training step.

    python benchmarks/convolution.py
    python benchmarks/convolution.py --cases resnet20 --rounds 7

On a GPU or TPU both are the same. A case is the step of `step_time.py` with sgd, called from Python.
"""

import argparse
import os

from step_time import jax_steps, medians, print_machine

from junlearn.models.convolution import written_as

CASES: dict[str, tuple[str, tuple[int, int, int], int, int]] = {
    # name: model, image, batch, steps a round
    "laf_cnn, batch 32": ("laf_cnn", (28, 28, 1), 32, 10),
    "laf_cnn": ("laf_cnn", (28, 28, 1), 128, 5),
    "small_cnn, digits": ("small_cnn", (8, 8, 1), 64, 40),
    "small_cnn": ("small_cnn", (32, 32, 3), 128, 5),
    "resnet20": ("resnet20", (32, 32, 3), 64, 2),
    "resnet9": ("resnet9", (32, 32, 3), 32, 1),
    "resnet18": ("resnet18", (32, 32, 3), 32, 1),
    "resnet18_imagenet": ("resnet18_imagenet", (224, 224, 3), 8, 1),
    "allcnn": ("allcnn", (32, 32, 3), 32, 1),
    "vgg11_jit": ("vgg11_jit", (32, 32, 3), 32, 1),
    "vgg16_bn": ("vgg16_bn", (32, 32, 3), 32, 1),
    "vit_small": ("vit_small", (32, 32, 3), 32, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="our convolutions against those of jax.lax")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    arguments = parser.parse_args()
    print_machine(len(os.sched_getaffinity(0)))
    print(f"{'case':<22}{'ours ms':>10}{'lax ms':>10}{'ratio':>8}")
    for name in arguments.cases:
        model, shape, batch, steps = CASES[name]
        work = {}
        for form in ("fast", "lax"):
            with written_as(form):
                work[form] = jax_steps(model, shape, batch, "sgd", steps, "python")
                work[form]()
        ours, theirs = (
            1e3 * seconds / steps for seconds in medians(work, arguments.rounds).values()
        )
        print(f"{name:<22}{ours:>10.1f}{theirs:>10.1f}{ours / theirs:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
