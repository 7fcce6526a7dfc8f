"""The options of released programs, translated into an experiment.

`compat corrective` takes those of the corrective unlearning benchmark (Goel et al., TMLR 2024): its names, its defaults
and its rules (the sets that NumPy's generator with seed 0 draws, one step more than asked for, the weights of the best
test accuracy), so that one of its commands runs as it is. Where that program rejects the names of its own
documentation (`labeltargeted`, `labelrandom`), they are taken.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from junlearn.commands.arguments import PROGRAM, Parser, text
from junlearn.errors import ConfigError
from junlearn.plugins import registry

__all__ = ["Request", "command", "parse", "parser"]

HEAD = """The commands of the corrective unlearning benchmark (Goel et al., TMLR 2024) as
they are: its names, its defaults and its rules."""

DATASETS = {
    "CIFAR10": ("cifar10", 10),
    "CIFAR100": ("cifar100", 100),
    "PCAM": ("patch_camelyon", 2),
}
"""Ours, and its number of classes."""
UNUSABLE = ("LFWPeople", "CelebA", "DermNet", "Pneumonia")
"""Datasets that the released program names and cannot use."""
MODELS = {
    "resnet9": "resnet9",
    "resnetwide28x10": "wide_resnet_corrective",
    "vitb16": "vit_b16",
    **{f"resnet{depth}": f"resnet{depth}" for depth in (20, 32, 44, 56, 110)},
}
MANIPULATIONS = {
    "poisoning": "poisoning",
    "randomlabelswap": "random_swap",
    "labelrandom": "random_swap",
    "interclasslabelswap": "interclass_confusion",
    "labeltargeted": "interclass_confusion",
}
CONFUSED = {"CIFAR10": (3, 5), "CIFAR100": (47, 53), "PCAM": (0, 1)}
METHODS = {
    "Naive": "naive",
    "EU": "eu_k",
    "CF": "cf_k",
    "Scrub": "scrub",
    "BadT": "bad_teacher",
    "SSD": "ssd",
}
KEEP = {"last": "last", "best_test": "best_test", "best_val": "best_validation"}
STATISTICS = {
    "CIFAR10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR100": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "PCAM": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
DEAD = {"factor": 0.1, "rsteps": 800, "ascLRscale": 1.0}
"""Options that nothing reads, there or here."""


class Request(NamedTuple):
    """What a command asks for."""

    table: dict[str, Any]
    """The experiment, as a configuration file would have it."""
    workdir: Path
    cache_dir: str | None
    remarks: list[str]
    """What differs from what was typed."""


def command(arguments: list[str]) -> int:
    """Run the experiment that the command of a released program describes; returns the exit status."""
    from junlearn.commands import places
    from junlearn.commands.carry_out import carry_out
    from junlearn.experiment import schema

    request = parse(arguments)
    experiment = schema.parse(request.table)
    places.check(request.workdir, request.cache_dir)
    for line in request.remarks:
        print(f"note: {line}")
    return carry_out(experiment, request.workdir, request.cache_dir)


def parse(arguments: Sequence[str]) -> Request:
    """The experiment of `compat PROGRAM ...`. Raises ConfigError for whatever cannot be done."""
    if not arguments or arguments[0] != "corrective":
        raise ConfigError(f"{' '.join(['compat', *arguments[:1]])}: known programs: corrective")
    return _translate(parser().parse_args(list(arguments[1:])))


def parser() -> Parser:
    """The options of the released program, and a few of ours."""
    usage = "%(prog)s [--OPTION VALUE ...]"
    own = Parser(prog=f"{PROGRAM} compat corrective", usage=usage, description=HEAD)
    add = own.add_argument
    _choice(add, "dataset", "CIFAR10", [*DATASETS, *UNUSABLE])
    _choice(add, "model", "resnet9", list(MODELS))
    _choice(add, "dataset_method", "randomlabelswap", list(MANIPULATIONS))
    _choice(add, "unlearn_method", "Naive", list(METHODS))
    add("--num_classes", type=int, help="has to be that of the dataset; default: is")
    add("--forget_set_size", type=int, default=500, help="|S_m|")
    add("--patch_size", type=int, default=3)
    add("--deletion_size", type=int, help="|S_f|; default: |S_m|")
    add("--k", type=int, default=-1, help="train only the last k layers; -1: all")
    add("--kd_T", type=float, default=4.0)
    add("--alpha", type=float, default=0.001)
    add("--msteps", type=int, default=400)
    add("--SSDdampening", type=float, default=1.0)
    add("--SSDselectwt", type=float, default=10.0)
    add("--batch_size", type=int, default=512)
    add("--pretrain_iters", type=int, default=7500)
    add("--unlearn_iters", type=int, default=1000)
    add("--unlearn_lr", type=float, default=0.025)
    add("--pretrain_lr", type=float, default=0.025)
    add("--wd", type=float, default=0.0005)
    add("--data_dir", type=text, help="where TFDS prepared its datasets")
    add("--save_dir", default="runs", type=text)
    add("--exp_name", default="unlearn", type=text)
    add("--device", help="JAX takes the accelerator that is there")
    for name, default in DEAD.items():
        add(f"--{name}", type=type(default), default=None, help="read by nothing")
    add(
        "--seed",
        type=int,
        default=0,
        help="of weights and data order; the sets are those of seed 0",
    )
    _choice(add, "checkpoint", "best_test", list(KEEP))
    _choice(add, "precision", "float32", ["float32", "bfloat16"])
    add("--cache_dir", type=text)
    return own


def _choice(add: Callable[..., Any], name: str, default: str, choices: list[str]) -> None:
    """An option that takes one of a few names, which its help lists: a usage of all of them could not be read."""
    told = f"{', '.join(choices)}; default: {default}"
    add(f"--{name}", default=default, choices=choices, metavar="NAME", help=told)


def _translate(options: argparse.Namespace) -> Request:
    if options.dataset in UNUSABLE:
        raise ConfigError(
            f"--dataset {options.dataset}: the released program cannot use it either; "
            "for images of your own take the dataset image_folder in a configuration file"
        )
    dataset, classes = DATASETS[options.dataset]
    if options.num_classes not in (None, classes):
        raise ConfigError(
            f"--num_classes is {options.num_classes}, and {options.dataset} has {classes} classes"
        )
    if options.unlearn_method in ("Naive", "SSD") and options.k != -1:
        raise ConfigError(f"--k has no meaning for {options.unlearn_method}: leave it at -1")
    if options.unlearn_method in ("Scrub", "BadT") and options.k != -1:
        raise ConfigError(f"--k is there for EU and CF: {options.unlearn_method} trains all layers")
    keep = KEEP[options.checkpoint]
    engine = {
        "optimizer": "sgd",
        "momentum": 0.9,
        "weight_decay": options.wd,
        "batch_size": options.batch_size,
        "schedule": "warm_linear",
        "augment": True,
        "keep": keep,
        "overshoot": True,
    }
    mean, std = STATISTICS[options.dataset]
    name = METHODS[options.unlearn_method]
    table = {
        "methods": [name],
        "seed": options.seed,
        "reference": False,
        "precision": options.precision,
        "validation": 0.1 if keep == "best_validation" else 0.0,
        "dataset": {"name": dataset, "mean": mean, "std": std, "augmentation": "crop_flip"},
        "model": {"name": MODELS[options.model]},
        "scenario": _scenario(options),
        "train": engine | {"learning_rate": options.pretrain_lr, "steps": options.pretrain_iters},
        "method": {name: _method(options, engine)},
    }
    if options.data_dir is not None:
        table["dataset"]["data_dir"] = options.data_dir
    remarks = [
        f"--{dead} is read by nothing, there or here"
        for dead in DEAD
        if getattr(options, dead) is not None
    ]
    if options.device is not None:
        remarks.append("--device: JAX takes the accelerator that is there (JAX_PLATFORMS chooses)")
    if options.unlearn_method == "Naive":
        remarks.append("Naive leaves the network as it is; the released program fine-tunes: CF")
    return Request(table, _workdir(options), options.cache_dir, remarks)


def _scenario(options: argparse.Namespace) -> dict[str, Any]:
    name = MANIPULATIONS[options.dataset_method]
    scenario = {
        "name": name,
        "manipulated": options.forget_set_size,
        "identified": options.deletion_size,
        "draw": "released",
    }
    if name == "poisoning":
        scenario["patch"] = options.patch_size
    if name == "interclass_confusion":
        scenario["classes"] = CONFUSED[options.dataset]
    return scenario


def _method(options: argparse.Namespace, engine: dict[str, Any]) -> dict[str, Any]:
    """The preset of the method, with the options of the command."""
    recipe = engine | {"learning_rate": options.unlearn_lr, "steps": options.unlearn_iters}
    given = {
        "Naive": {},
        "EU": recipe | {"k": options.k},
        "CF": recipe | {"k": options.k},
        "Scrub": recipe
        | {
            "alpha": options.alpha,
            "temperature": options.kd_T,
            "msteps": options.msteps,
            "forget_batch_size": options.batch_size,
        },
        "BadT": recipe,
        "SSD": {
            "alpha": options.SSDselectwt,
            "dampening": options.SSDdampening,
            "batch_size": options.batch_size,
        },
    }
    preset = registry.preset(f"{METHODS[options.unlearn_method]}_corrective")
    return {**preset, **given[options.unlearn_method]}


def _workdir(options: argparse.Namespace) -> Path:
    """The folders of the released program, by the same names."""
    pretraining = (
        f"{options.dataset}_{options.model}_{options.dataset_method}_{options.forget_set_size}_"
        f"{options.patch_size}_{options.pretrain_iters}_{options.pretrain_lr}"
    )
    parts = [options.unlearn_method, options.exp_name]
    if options.unlearn_method != "Naive":
        deleted = options.deletion_size or options.forget_set_size
        parts = [str(deleted), *parts, str(options.unlearn_iters), str(options.k)]
    if options.unlearn_method == "Scrub":
        parts += [str(options.kd_T), str(options.alpha), str(options.msteps)]
    if options.unlearn_method == "SSD":
        parts += [str(options.SSDdampening), str(options.SSDselectwt)]
    return Path(options.save_dir) / pretraining / "_".join(parts)
