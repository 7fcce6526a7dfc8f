"""The released benchmark's commands, as experiments."""

import pytest

from junlearn import cli, compat
from junlearn.errors import ConfigError
from junlearn.experiment import records, schema
from junlearn.main import main
from junlearn.plugins import registry
from tests.prepared import prepare

EXAMPLE = (
    "--dataset=CIFAR10 --num_classes=10 --model=resnet9 --pretrain_iters=4000 "
    "--dataset_method=labeltargeted --forget_set_size=500 --deletion_size=250 "
    "--unlearn_method=EU --unlearn_iters=4000 --k=-1"
)
"""The command in the released documentation, which its own program rejects."""


def parse(text):
    request = compat.parse(["corrective", *text.split()])
    return request, schema.parse(request.table)


def test_the_example_of_the_documentation():
    request, experiment = parse(EXAMPLE)
    assert experiment.dataset.name == "cifar10" and experiment.model.name == "resnet9"
    assert experiment.dataset.mean == (0.4914, 0.4822, 0.4465)
    assert experiment.dataset.augmentation == "crop_flip"
    scenario = experiment.scenario
    assert (scenario.name, scenario.classes) == ("interclass_confusion", (3, 5))
    assert (scenario.manipulated, scenario.identified, scenario.draw) == (500, 250, "released")
    for recipe in (experiment.train, experiment.method.eu_k):
        assert (recipe.steps, recipe.batch_size, recipe.learning_rate) == (4000, 512, 0.025)
        assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 5e-4)
        assert (recipe.schedule, recipe.keep, recipe.overshoot) == (
            "warm_linear",
            "best_test",
            True,
        )
        assert recipe.augment
    assert experiment.method.eu_k.k == -1
    assert not experiment.reference
    assert str(request.workdir) == (
        "runs/CIFAR10_resnet9_labeltargeted_500_3_4000_0.025/250_EU_unlearn_4000_-1"
    )
    assert request.remarks == []


def test_every_method_takes_its_options():
    shared = "--dataset_method poisoning --unlearn_lr 0.0025 --unlearn_iters 100 --msteps 30"
    _, e = parse(f"{shared} --unlearn_method Scrub --alpha 0.5 --kd_T 2 --batch_size 64")
    scrub = e.method.scrub
    assert (scrub.alpha, scrub.gamma, scrub.temperature, scrub.ascent) == (0.5, 1.0, 2.0, "ce+kd")
    assert (scrub.msteps, scrub.steps, scrub.learning_rate) == (30, 100, 0.0025)
    assert (scrub.forget_batch_size, scrub.batch_size) == (64, 64)
    _, e = parse(f"{shared} --unlearn_method BadT")
    assert (e.method.bad_teacher.reduction, e.method.bad_teacher.retain_fraction) == ("element", 1)
    request, e = parse(f"{shared} --unlearn_method SSD --SSDdampening 0.4 --SSDselectwt 4")
    ssd = e.method.ssd
    assert (ssd.alpha, ssd.dampening, ssd.denominator, ssd.importance) == (
        4,
        0.4,
        "retain",
        "batch",
    )
    assert request.workdir.name == "500_SSD_unlearn_100_-1_0.4_4.0"
    _, e = parse(f"{shared} --unlearn_method CF --k 2 --checkpoint last --wd 0.1")
    assert (e.method.cf_k.k, e.method.cf_k.keep, e.method.cf_k.weight_decay) == (2, "last", 0.1)
    request, e = parse("--unlearn_method Naive --patch_size 5 --device cuda --factor 0.2")
    assert e.methods == ("naive",) and e.scenario.name == "random_swap"
    assert e.train.steps == 7500
    assert [remark.split()[0] for remark in request.remarks] == ["--factor", "--device:", "Naive"]


def test_options_of_ours():
    _, e = parse("--unlearn_method CF --checkpoint best_val --precision bfloat16 --seed 3")
    assert (e.method.cf_k.keep, e.validation, e.precision, e.seed) == (
        *("best_validation", 0.1),
        *("bfloat16", 3),
    )
    _, e = parse("--dataset CIFAR100 --model resnetwide28x10 --dataset_method labelrandom")
    assert (e.model.name, e.scenario.name) == ("wide_resnet_corrective", "random_swap")
    _, e = parse("--dataset PCAM --dataset_method interclasslabelswap")
    assert (e.dataset.name, e.scenario.classes) == ("patch_camelyon", (0, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "known programs: corrective"),
        ("corective", "known programs: corrective"),
        ("corrective --dataset CelebA", "released program cannot use it either"),
        ("corrective --num_classes 100", "CIFAR10 has 10 classes"),
        ("corrective --unlearn_method SSD --k 2", "no meaning for SSD"),
        ("corrective --unlearn_method Scrub --k 2", "EU and CF"),
        ("corrective --dataset_method flip", "invalid choice: 'flip'"),
        ("corrective --epochs 3", "unrecognized arguments: --epochs 3"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(arguments, message, capsys):
    assert main(["compat", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    with pytest.raises(ConfigError):
        compat.parse(arguments.split())


@pytest.mark.no_cover
def test_a_released_command_runs(tmp_path, monkeypatch, capsys):
    """The example, on a few images and with two steps in the place of 4,000."""
    counts = {"train": 60, "test": 20}
    prepare(tmp_path, "cifar10", version="3.0.2", counts=counts, side=16, classes=10)
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    smaller = EXAMPLE.replace("iters=4000", "iters=2").replace("size=500", "size=10")
    smaller = smaller.replace("size=250", "size=5")
    arguments = [*smaller.split(), "--batch_size=16", f"--data_dir={tmp_path}"]
    assert main(["compat", "corrective", *arguments]) == 0
    out = capsys.readouterr().out
    assert "eu_k" in out and "original" in out
    folder = "CIFAR10_resnet9_labeltargeted_10_3_2_0.025/5_EU_unlearn_2_-1"
    original, repaired = records.read(tmp_path / "runs" / folder / "records.jsonl")
    # An epoch has four steps: the release's one more does not fit into two of them, and is made.
    assert original["history"][0]["steps"] == repaired["history"][0]["steps"] == 3
    assert 0 <= repaired["metrics"]["corrective/corrected"] <= 1


@pytest.mark.parametrize("name", ["CF", "EU", "Scrub", "BadT", "SSD"])
def test_a_command_without_options_is_a_preset(name):
    """`--unlearn_method Scrub` and `--methods scrub_corrective` are one method."""
    table = compat.parse(["corrective", "--unlearn_method", name]).table
    ((method, section),) = table["method"].items()
    preset = registry.preset(f"{method}_corrective")
    left = {"k": -1} if name in ("CF", "EU") else {}
    left |= {"alpha": 10.0, "dampening": 1.0} if name == "SSD" else {}
    assert section == {**preset, **left}
