"""A stream from the command line to the records: what is chained, judged, kept, and never read again."""

import json
import types

import jax
import numpy as np
import pytest
from rich.console import Console

import junlearn
from junlearn.engine.run import Result
from junlearn.errors import ConfigError
from junlearn.experiment import execute, records, schema, sequence, sweep
from junlearn.experiment.identity import identities
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Renewal
from junlearn.experiment.resolved import method_of
from junlearn.experiment.training import training_key
from junlearn.main import main
from junlearn.methods import finetune
from junlearn.scenarios import SCENARIOS
from junlearn.testing.differences import numbers_differ
from junlearn.testing.problems import IMPOSSIBLE
from junlearn.train import train
from junlearn.types import Method
from tests import tiny_run

STREAM = {"name": "stream", "requests": 3, "size": 20, "growth": 10}
CONFIG = {
    "scenario": STREAM,
    "methods": ["finetune", "sisa"],
    "reference": True,
    "method": {
        "finetune": {"epochs": 1, "batch_size": 256},
        "sisa": {"shards": 2, "slices": 2, "epochs": 1, "batch_size": 256},
    },
}
LABELS = ["original", "retrain", "finetune", "sisa"]


def quiet():
    return Reporter(Console(quiet=True))


def experiment(**changes):
    return schema.parse(tiny_run.CONFIG | CONFIG | changes)


def found(place):
    return records.read(place / "run" / "records.jsonl")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A stream that nothing has disturbed."""
    place = tmp_path_factory.mktemp("whole")
    assert main(tiny_run.arguments(place, **CONFIG)) == 0
    return place


@pytest.fixture(scope="module")
def setup(place):
    return prepare(experiment(), str(place / "cache"), quiet())


def networks(setups, place, own):
    """The networks of a stream on other data than those of `place`, whose original and references it reads."""
    made = execute._Networks(
        setups[-1], place / "cache" / "models", own, Renewal("nothing"), quiet()
    )
    made.setups = setups
    return made


def test_a_record_of_every_network_after_every_request(place):
    told = found(place)
    assert [r["method"] for r in told] == LABELS * 3
    assert [records.number_of(r) for r in told] == [1] * 4 + [2] * 4 + [3] * 4
    assert [(r["request"]["new"], r["request"]["forget"]) for r in told[::4]] == [
        (20, 20),
        (30, 50),
        (40, 90),
    ]
    assert len({r["config_hash"] for r in told}) == 12
    assert all(r["request"]["forget"] + r["request"]["retain"] == 1437 for r in told)
    assert (place / "run" / "forgotten.txt").read_text().count("\n") == 92


def test_the_references_are_those_of_the_rows_that_are_gone(place, setup, tmp_path):
    """They are named as the retrained network of such a request file is, and are what a training gives."""
    for one in sequence.setups(setup):
        (tmp_path / "gone.txt").write_text("\n".join(map(str, one.split.forget)))
        rows = {"name": "rows", "file": str(tmp_path / "gone.txt")}
        alone = prepare(experiment(scenario=rows), str(place / "cache"), quiet())
        assert identities(alone).retrain == identities(one).retrain
    kept = networks(sequence.setups(setup), place, tmp_path).cases(one)[1].result()
    fresh = train(
        one.experiment.train,
        one.model,
        one.sources,
        one.split,
        key=training_key(one, "retrain"),
        views=one.dataset.views,
        seed=one.seeds["order"],
    )
    assert not numbers_differ(kept.variables, fresh.variables, rtol=1e-4, atol=1e-5)
    assert [e["epoch"] for e in kept.history] == [
        0,
        1,
    ] and kept.stages.keys() == fresh.stages.keys()


def test_a_method_goes_on_from_its_own_network_alone(setup):
    """Where another section has done the same stages at the first request, at the second it began from elsewhere."""
    one, other = (method_of(setup.experiment, label) for label in ("finetune", "sisa"))
    first, second = (identities(each) for each in sequence.setups(setup)[:2])
    assert first.stages(one, (), other) == first.stages(one, ())
    assert second.stages(one, (), other) != second.stages(one, ()) == second.stages(one, (), one)
    assert second.unlearned(one)["from"] == schema.digest(first.unlearned(one))


def test_references_are_made_anew_where_that_is_asked(place, setup, monkeypatch):
    calls = []
    train_each = sequence.train_each
    monkeypatch.setattr(
        sequence, "train_each", lambda *a, **options: calls.append(1) or train_each(*a, **options)
    )
    for fresh, count in (("nothing", 0), ("changed", 0), ("all", 1)):
        renewal = Renewal(fresh)
        for _ in range(2):
            models = place / "cache" / "models"
            sequence.references(sequence.setups(setup), models, renewal, quiet())
        assert len(calls) == count


def test_deleted_rows_change_nothing_later(place, setup, tmp_path):
    """Neither a method of the second and third request nor any retrained network reads what the first one deleted."""
    train_set = setup.sources["train"]
    plain = setup._replace(
        sources=setup.sources | {"train": train_set._replace(x=train_set.x / np.float32(255))}
    )
    gone = setup.requests[0].forget
    clean = plain.sources["train"]
    spoilt = clean._replace(x=clean.x.at[gone].set(np.nan), y=clean.y.at[gone].set(IMPOSSIBLE))
    first, *later = sequence.setups(plain)
    blind = [one._replace(sources=one.sources | {"train": spoilt}) for one in later]

    def last(own, *setups, references=()):
        made = networks(list(setups), place, tmp_path / own)
        made.original = networks([plain], place, tmp_path)._trained(
            setup, "original", identities(setup).original
        )
        for one in setups:
            cases = made.cases(one)
        return [case.result().variables for case in cases[2:]]

    for one, other in zip(last("plain", first, *later), last("blind", first, *blind), strict=True):
        assert np.isfinite(jax.tree.leaves(one)[0]).all()
        assert not numbers_differ(one, other)
    kept = []
    for name, setups in (("plain", later), ("blind", blind)):
        sequence.references(setups, tmp_path / f"models_{name}", Renewal("nothing"), quiet())
        made = execute._Networks(
            setups[-1], tmp_path / f"models_{name}", tmp_path, Renewal("nothing"), quiet()
        )
        kept.append([made.cases(one)[1].result().variables for one in setups])
    assert not numbers_differ(*kept)


def test_killed_between_requests_it_ends_with_the_same_bits(place, tmp_path, monkeypatch):
    def killed(setup):
        if setup.number == 3:
            raise KeyboardInterrupt
        return ""

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sequence, "title", killed)
        execute.execute(experiment(), tmp_path / "run", str(tmp_path / "cache"), quiet())
    assert len(found(tmp_path)) == 8
    trained = []
    monkeypatch.setattr(execute, "run_stages", counted(execute.run_stages, trained))
    assert main(tiny_run.arguments(tmp_path, **CONFIG)) == 0
    assert tiny_run.results(tmp_path) == tiny_run.results(place)
    # Those of the third request, and what they go on from, read back.
    assert trained.count(True) == 2


def counted(run_stages, trained):
    """`run_stages`, which notes of each call whether it made a step."""

    def run(*arguments, **options):
        before = []
        options["progress"] = lambda *_: before.append(1)
        done = run_stages(*arguments, **options)
        trained.append(bool(before))
        return done

    return run


def test_a_longer_stream_goes_on_and_a_repeated_one_trains_nothing(place, monkeypatch, capsys):
    trained = []
    monkeypatch.setattr(execute, "run_stages", counted(execute.run_stages, trained))
    assert main(tiny_run.arguments(place, **CONFIG)) == 0 and not trained
    longer = CONFIG | {"scenario": STREAM | {"requests": 4}, "methods": ["finetune"]}
    longer["method"] = {"finetune": CONFIG["method"]["finetune"]}
    lines = (place / "run" / "records.jsonl").read_text()
    assert main(tiny_run.arguments(place, **longer)) == 0
    assert trained.count(True) == 1
    out = capsys.readouterr().out
    assert (
        "request 4, seed 0" in out and "request 4 of 4: 50 more to forget, 1,297 to retain" in out
    )
    (place / "run" / "records.jsonl").write_text(lines)


def method_with(**parts):
    """A method that does nothing, with `parts` of its own."""

    def make(config, model):
        return Method(
            lambda key, variables, sources, split: variables,
            lambda split: [],
            parts.get("finish", lambda state: state),
            certificate=parts.get("certificate"),
        )

    return types.SimpleNamespace(Config=finetune.Config, make=make, NEEDS=frozenset())


PROOF = {"mechanism": "none", "epsilon": 1.0, "delta": 0.1, "assumed": ["nothing"]}


def test_what_cannot_go_on(tmp_path, capsys, own_names):
    """Another network than the given one is refused at the second request, and a proof is of the first alone."""
    model = junlearn.MODELS["mlp"].make(junlearn.MODELS["mlp"].Config(hidden=(8,)), 10, (8, 8, 1))
    other = model._replace(layers=())
    junlearn.register("method", method_with(finish=lambda state: (other, state)), "widened")
    junlearn.register("method", method_with(certificate=lambda split: PROOF), "proven")
    changes = {"scenario": STREAM | {"requests": 2}, "methods": ["widened", "proven"], "method": {}}
    assert main(tiny_run.arguments(tmp_path, **changes)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "widened: with these settings it leaves another network than" in captured.err
    assert captured.out.count("certified by none") == 1 and sequence.UNPROVEN in captured.out
    last = [r for r in found(tmp_path) if records.number_of(r) == 2]
    assert [r["method"] for r in last] == ["original", "proven"] and "certificate" not in last[1]


def test_the_last_network_is_kept_and_an_earlier_one_made_again():
    asked = []

    def made(number):
        def make():
            asked.append(number)
            if number > 1:
                chain.start("a", types.SimpleNamespace(number=number, model="m"))
            return Result("m", f"network {number}", [], {}, {}, {})

        return make

    chain = sequence.Chain()
    second, third = [chain.add("a", n, made(n)) for n in (1, 2, 3)][1:]
    assert second().variables == second().variables == "network 2" and asked == [2, 1]
    assert third().variables == "network 3" and asked == [2, 1, 3]


@pytest.mark.parametrize("options", [(), ("--plan",)])
def test_an_audit_is_of_one_request(tmp_path, capsys, options):
    assert main(["audit", *tiny_run.arguments(tmp_path, **CONFIG), *options]) == 2
    error = capsys.readouterr().err
    assert "audit: the scenario stream is of several requests" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_scenario_whose_requests_overlap_is_refused(tmp_path, own_names):
    def make(config, dataset, key):
        one = SCENARIOS["random"]
        return [one.make(one.Config(count=5), dataset, key)] * 2

    mine = types.SimpleNamespace(Config=finetune.Config, make=make, SEQUENCE=lambda config: 2)
    junlearn.register("scenario", mine, "twice")
    chosen = experiment(scenario={"name": "twice"})
    with pytest.raises(ConfigError, match="scenario twice: request 2 reads 5 examples that were"):
        prepare(chosen, str(tmp_path), quiet())


def test_a_sweep_has_the_requests_as_an_axis(place):
    table = tiny_run.CONFIG | CONFIG | {"sweep": {"seed": [0]}}
    (point,) = sweep.expand(json.loads(json.dumps(table)))
    assert point.requests == 3
    trials = sweep.by_request(sweep.trials(point, found(place)))
    assert [t.axes for t in trials[::4]] == [{"seed": 0, "request": n} for n in (1, 2, 3)]
    assert len(sweep.best(trials, None)) == 12
    assert sweep.by_request(trials[:0]) == []
    point.directory(place).mkdir(parents=True)
    log = (place / "run" / "records.jsonl").read_text()
    (point.directory(place) / "records.jsonl").write_text(log)
    assert sweep.done(point, place, print) == 12
