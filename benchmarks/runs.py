"""The whole job with every method on MNIST: seconds split into compile, data, train, unlearn and evaluate.

    TFDS_DATA_DIR=... python benchmarks/runs.py --output runs.csv
    TFDS_DATA_DIR=... python benchmarks/runs.py --methods ssd scrub --examples 60000 --cold

The job is class removal: train the original, retrain the reference, make the original forget the digit 0, and judge
all three by the default metrics. Data, original, reference and their judgement are the same for all methods of a
network: measured once, they stand in the row of each, so that a row is what the job takes with this method alone.

    compile   tracing, lowering and compiling (or reading back) all programs of the job
    own       the part of it that is this method's own
    data      reading the images and putting them on the device, and the further images that the method reads
    train     original and reference
    unlearn   from the call to the new weights
    evaluate  outputs and metrics of the three networks

`compile` is heard from JAX itself and taken off the other columns, which are wall time. Data is read through the cache
of decoded arrays: the head of the output says what was there. Compiled programs are kept where the command line does;
`--cold` takes an empty directory that is thrown away.
"""

import argparse
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
from job import (
    METHOD,
    ORIGINAL,
    RANDOM,
    REFERENCE,
    Job,
    random_key,
    read,
    with_surrogates,
    with_validation,
)
from method_settings import Setting, recipe, settings
from report import Seconds, Stopwatch, markdown, write_csv
from step_time import print_machine

import junlearn
from junlearn.cli import keep_compilations
from junlearn.datasets.cache import dataset_cache_dir
from junlearn.datasets.surrogate import SURROGATES
from junlearn.experiment.evaluator import Evaluator, Relearning, Subject
from junlearn.methods import METHODS
from junlearn.metrics import compute
from junlearn.models import MODELS
from junlearn.relearn import DEFAULT
from junlearn.train import train
from junlearn.types import Dataset, Model, Split, Variables

__all__ = ["Job", "Row", "measure", "measure_each", "settings", "table"]

NETWORKS = ("laf_cnn", "small_cnn", "mlp")
FURTHER = {"surrogate": with_surrogates, "validation": with_validation}
"""Images beside those of the job that some methods read."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Seconds of the job with one method; None where it could not be run."""

    method: str
    model: str
    compile: float | None = None
    own: float | None = None
    data: float | None = None
    train: float | None = None
    unlearn: float | None = None
    steps: float | None = None
    """The part of `unlearn` that the driver spent in steps."""
    evaluate: float | None = None
    total: float | None = None
    retain_test: float | None = None
    forget_test: float | None = None
    note: str = ""


class Images(NamedTuple):
    """What is on the device."""

    dataset: Dataset
    """Its sources are the arrays on the device."""
    split: Split
    seconds: Seconds


class Trained(NamedTuple):
    """What all methods of a network have in common."""

    model: Model
    original: Variables
    evaluator: Evaluator
    """It has seen the original, the reference and an untrained network."""
    compile: float
    train: float
    evaluate: float


def measure(
    job: Job, names: Sequence[str], say: Callable[[str], None] = lambda text: None
) -> list[Row]:
    """A row for each of the methods `names`."""
    return list(measure_each(job, names, say))


def measure_each(
    job: Job, names: Sequence[str], say: Callable[[str], None] = lambda text: None
) -> Iterator[Row]:
    """The same rows, each as soon as it is measured."""
    table = settings(job.epochs)
    with Stopwatch() as watch:

        @cache
        def images(further: str | None) -> Images:
            if further is None:
                (dataset, split), seconds = watch.timed(lambda: read(job))
                return Images(dataset, split, seconds)
            dataset, split, first = images(None)
            dataset, second = watch.timed(lambda: FURTHER[further](job, dataset))
            both = Seconds(first.compile + second.compile, first.work + second.work)
            return Images(dataset, split, both)

        @cache
        def trained(name: str, fields: tuple[tuple[str, Any], ...]) -> Trained:
            component = MODELS[name]
            dataset, split, _ = images(None)
            model = component.make(
                component.Config(**dict(fields)), len(dataset.classes), dataset.input_shape
            )
            done = _train(watch, job, model, dataset, split)
            say(f"{_label(name, fields)}: trained twice in {done.train:.1f} s")
            return done

        for name in names:
            setting = table[name]
            network, fields = setting.model or (job.model, {})
            label = _label(network, tuple(fields.items()))
            try:
                shared = trained(network, tuple(fields.items()))
                needs = METHODS[name].NEEDS
                own = images(next((each for each in FURTHER if f"{each}.x" in needs), None))
                row = _row(watch, job, name, setting, label, shared, own)
                say(f"{name}: {row.unlearn:.1f} s, {row.own:.1f} s compiling")
            except (junlearn.JunlearnError, junlearn.DivergedError) as error:
                row = Row(method=name, model=label, note=str(error))
                say(f"{name}: {error}")
            yield row


def _label(name: str, fields: tuple[tuple[str, Any], ...]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in fields)])


def _train(watch: Stopwatch, job: Job, model: Model, dataset: Dataset, split: Split) -> Trained:
    """The original and the reference, both evaluated."""
    config = METHODS["retrain"].Config(**recipe(job.epochs))

    def fit(purpose: int, split: Split | None) -> Subject:
        key, options = random_key(job, purpose), {"seed": job.seed, "views": dataset.views}
        done = train(config, model, dataset.sources, split, key=key, **options)
        return Subject("", model, done.variables)

    original, first = watch.timed(lambda: fit(ORIGINAL, None))
    reference, second = watch.timed(lambda: fit(REFERENCE, split))

    def untrained() -> Subject:
        return Subject("", model, model.fresh(random_key(job, RANDOM), dataset.sources))

    evaluator = Evaluator(
        sources=dataset.sources,
        split=split,
        views=dataset.views,
        references={
            "original": lambda: original,
            "retrain": lambda: reference,
            "random": untrained,
        },
        relearning=Relearning(DEFAULT, {}),
    )

    def evaluate() -> None:
        compute(evaluator.context(original, "original"))
        compute(evaluator.context(reference, "retrain"))

    _, third = watch.timed(evaluate)
    return Trained(
        model,
        original.variables,
        evaluator,
        compile=first.compile + second.compile + third.compile,
        train=first.work + second.work,
        evaluate=third.work,
    )


def _row(
    watch: Stopwatch,
    job: Job,
    name: str,
    setting: Setting,
    label: str,
    shared: Trained,
    images: Images,
) -> Row:
    """Unlearn with one method, and judge what is left."""
    dataset, split, data = images
    module = METHODS[name]
    method = module.make(module.Config(**setting.fields), shared.model)
    began = None
    if method.with_initial is not None:
        began = junlearn.initial(shared.model, dataset.sources, key=random_key(job, ORIGINAL))

    def unlearn() -> junlearn.Result:
        return junlearn.run(
            method,
            shared.model,
            shared.original,
            dataset.sources,
            split,
            key=random_key(job, METHOD),
            seed=job.seed,
            views=dataset.views,
            initial=began,
        )

    result, unlearning = watch.timed(unlearn)
    subject = Subject(name, result.model, result.variables)
    metrics, evaluation = watch.timed(lambda: compute(shared.evaluator.context(subject)))
    own = unlearning.compile + evaluation.compile
    seconds = {
        "compile": shared.compile + data.compile + own,
        "data": data.work,
        "train": shared.train,
        "unlearn": unlearning.work,
        "evaluate": shared.evaluate + evaluation.work,
    }
    return Row(
        method=name,
        model=label,
        **seconds,
        own=own,
        steps=result.seconds["run"],
        total=math.fsum(seconds.values()),
        retain_test=metrics["accuracy/retain_test"],
        forget_test=metrics["accuracy/forget_test"],
        note=", ".join(f"{key} {value}" for key, value in setting.fields.items()) or "defaults",
    )


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown; what could not be run has its reason in the place of the seconds."""
    columns = ("compile", "own", "data", "train", "unlearn", "evaluate", "total")
    lines = []
    for row in rows:
        if row.total is None:
            lines.append([f"`{row.method}`", *[""] * len(columns), f"not run: {row.note}"])
        else:
            numbers = [f"{getattr(row, name):.1f}" for name in columns]
            lines.append([f"`{row.method}`", *numbers, row.note])
    return markdown(["method", *columns, "setting"], lines, texts=2)


def main() -> None:
    parser = argparse.ArgumentParser(description="the whole job with every method")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--dataset", choices=["mnist", "fashion_mnist", "digits"], default="mnist")
    parser.add_argument("--surrogate", choices=list(SURROGATES), default="fashion_mnist")
    parser.add_argument("--examples", type=int, default=6_000)
    parser.add_argument("--epochs", type=int, default=2, help="of original and reference")
    parser.add_argument("--model", choices=NETWORKS, default="laf_cnn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cold", action="store_true", help="nothing is compiled before")
    parser.add_argument("--output", type=Path, help="CSV file")
    arguments = vars(parser.parse_args())
    names, cold, output = (arguments.pop(name) for name in ("methods", "cold", "output"))
    job = Job(**arguments)
    with tempfile.TemporaryDirectory() as scratch:
        keep_compilations(scratch if cold else None)
        print_machine(len(os.sched_getaffinity(0)))
        print(job)
        for kind, directory in (
            ("compiled programs", Path(jax.config.jax_compilation_cache_dir)),
            ("decoded datasets", dataset_cache_dir(None)),
        ):
            kept = len(list(directory.iterdir())) if directory.is_dir() else 0
            print(f"{kind}: {kept} kept from before")
        rows = measure(job, names, lambda text: print(text, flush=True))
    assert [row.method for row in rows] == names
    print(table(rows))
    if output is not None:
        write_csv(output, rows)


if __name__ == "__main__":
    main()
