"""Trials are shared, resumed, pruned and counted; none of them is run here."""

import math
import threading

import pytest

from junlearn.search.question import question_of
from junlearn.search.rounds import Rounds
from junlearn.search.studies import Desk
from tests.search.small_search import Judge, Said, table


def rounds(folder, **search):
    return Rounds(question_of(table(**search)), folder, None, Said())


def settings(search):
    (method,) = search.found().methods
    return [trial.settings["learning_rate"] for trial in method.trials]


def test_the_first_trial_is_what_the_configuration_has(tmp_path, monkeypatch):
    Judge(monkeypatch)
    search = rounds(tmp_path)
    search.run()
    (method,) = search.found().methods
    assert settings(search)[0] == 0.02 == method.given["learning_rate"]
    assert all(0.001 <= rate <= 1 for rate in settings(search))
    assert method.best.value == min(settings(search))
    assert method.count("finished") == 3 and method.best.spread is None


def test_the_same_command_goes_on_as_if_it_had_not_stopped(tmp_path, monkeypatch):
    judge = Judge(monkeypatch)
    whole = rounds(tmp_path / "whole", trials=8)
    whole.run()
    rounds(tmp_path / "parts", trials=3).run()
    judge.asked.clear()
    again = rounds(tmp_path / "parts", trials=8)
    assert again.done() == {"finetune": 3}
    again.run()
    assert len(judge.asked) == 5
    assert settings(again) == settings(whole)
    judge.asked.clear()
    rounds(tmp_path / "parts", trials=8).run()
    assert judge.asked == []


def test_a_trial_that_was_killed_is_done_again(tmp_path, monkeypatch):
    judge = Judge(monkeypatch)
    whole = rounds(tmp_path / "whole", trials=4)
    whole.run()

    def killed(*arguments):
        value = judge(*arguments)
        if len(judge.asked) == 2:
            raise KeyboardInterrupt
        return value

    judge.asked.clear()
    monkeypatch.setattr("junlearn.search.rounds.judge", killed)
    with pytest.raises(KeyboardInterrupt):
        rounds(tmp_path / "parts", trials=4).run()
    (_, lost) = settings(rounds_of_before(tmp_path / "parts"))
    monkeypatch.setattr("junlearn.search.rounds.judge", judge)
    judge.asked.clear()
    again = rounds(tmp_path / "parts", trials=4)
    again.run()
    assert judge.asked[0][0] == lost
    assert any("1 trial was cut off" in line for line in again.reporter.lines)
    assert settings(again) == settings(whole)


def rounds_of_before(folder):
    search = rounds(folder, trials=4)
    search.done()
    return search


def test_two_share_the_trials(tmp_path, monkeypatch):
    both = threading.Barrier(2, timeout=60)
    judge = Judge(monkeypatch)

    def together(*arguments):
        # Each waits for the other: neither could do all trials alone.
        both.wait()
        return judge(*arguments)

    monkeypatch.setattr("junlearn.search.rounds.judge", together)
    searches = [rounds(tmp_path, trials=6) for _ in range(2)]
    threads = [threading.Thread(target=search.run) for search in searches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(judge.asked) == 6
    (method,) = searches[0].found().methods
    assert method.count("finished") == 6 and len(set(settings(searches[0]))) == 6
    assert searches[0].found() == searches[1].found()


def test_another_process_lives_while_it_is_present(tmp_path):
    one, other = Desk(tmp_path), Desk(tmp_path)
    with one.present():
        assert other.lives(one.me)
    assert not other.lives(one.me) and not other.lives("")


def test_a_hopeless_trial_stops_between_seeds(tmp_path, monkeypatch):
    judge = Judge(monkeypatch)
    seeds = [0, 1, 2]
    search = rounds(tmp_path, trials=12, seeds=seeds, sampler="random")
    search.run()
    (method,) = search.found().methods
    pruned = [trial for trial in method.trials if trial.state == "pruned"]
    assert pruned and all(len(trial.values) == 1 for trial in pruned)
    # The first five finish; after them, whoever is worse with seed 0 than the median of the finished ones stops.
    assert min(trial.number for trial in pruned) > 5
    first = pruned[0]
    before = sorted(t.values[0] for t in method.trials[: first.number - 1] if t.state == "finished")
    assert first.values[0] > before[len(before) // 2 - 1]
    assert len(judge.asked) == 3 * method.count("finished") + len(pruned)
    assert method.best.values == pytest.approx(
        [method.best.settings["learning_rate"] + s / 10 for s in seeds]
    )
    assert method.best.spread == pytest.approx(0.1)
    free = rounds(tmp_path / "free", trials=7, seeds=seeds, sampler="random", pruning=False)
    free.run()
    assert free.found().methods[0].count("finished") == 7


def test_failing_trials_are_not_the_end(tmp_path, monkeypatch):
    Judge(monkeypatch, fails=0.05)
    search = rounds(tmp_path, trials=6, sampler="random")
    search.run()
    (method,) = search.found().methods
    failed = [trial for trial in method.trials if trial.state == "failed"]
    assert 0 < len(failed) < 6 and method.count("finished") == 6 - len(failed)
    assert failed[0].error == "DivergedError: loss is nan" and math.isnan(failed[0].value)
    assert method.best.value <= 0.05


def test_a_budget_of_time(tmp_path, monkeypatch):
    Judge(monkeypatch)
    search = rounds(tmp_path, trials=50, seconds=1e-9)
    search.run()
    assert search.found().methods[0].count("finished") == 1
    assert search.reporter.lines[-1].startswith("the 1e-09 s of search.seconds are used up")


def test_another_question_begins_anew_and_more_trials_do_not(tmp_path, monkeypatch):
    judge = Judge(monkeypatch)
    rounds(tmp_path).run()
    judge.asked.clear()
    rounds(tmp_path, seeds=[0, 1]).run()
    assert len(judge.asked) == 6
    judge.asked.clear()
    rounds(tmp_path, trials=4).run()
    assert len(judge.asked) == 1
    rounds(tmp_path, trials=4).run("all")
    assert len(judge.asked) == 5
    rounds(tmp_path, trials=4).run("changed")
    assert len(judge.asked) == 5


def test_trials_of_other_code_are_kept_and_named(tmp_path, monkeypatch):
    judge = Judge(monkeypatch)
    rounds(tmp_path).run()
    monkeypatch.setattr("junlearn.search.question.code_of", lambda *_: {"network": "new"})
    again = rounds(tmp_path)
    again.run()
    (line,) = again.reporter.lines
    assert (
        line.startswith("finetune: trials kept, of code of the network") and len(judge.asked) == 3
    )
    rounds(tmp_path).run("changed")
    assert len(judge.asked) == 6


def test_values_of_all_kinds_can_be_tried(tmp_path, monkeypatch):
    Judge(monkeypatch)
    space = {
        "learning_rate": {"low": 0.02, "high": 0.05, "step": 0.02},
        "epochs": {"low": 1, "high": 3},
        "batch_size": [64, 256],
        "optimizer": ["sgd", "adam"],
    }
    search = rounds(tmp_path, trials=12, method={"finetune": space})
    search.run()
    tried = [trial.settings for trial in search.found().methods[0].trials]
    assert {round(s["learning_rate"], 9) for s in tried} == {0.02, 0.04}
    assert {s["epochs"] for s in tried} == {1, 2, 3} and {s["batch_size"] for s in tried} == {
        64,
        256,
    }
    assert {s["optimizer"] for s in tried} == {"sgd", "adam"}
    importance = search.found().methods[0].importance
    assert max(importance, key=importance.get) == "learning_rate"
    assert sum(importance.values()) == pytest.approx(1)
