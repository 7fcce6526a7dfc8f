"""What a person sees while a run is going on."""

from rich.console import Console

from junlearn.experiment.progress import Reporter


def test_progress_bars_on_a_terminal():
    console = Console(force_terminal=True, width=100, record=True)
    with console.capture() as captured:
        reporter = Reporter(console)
        with reporter.following("original") as follow:
            follow("train", 3, 10, {"loss": 1.5})
            follow("train", 10, 10, {"loss": 0.5})
        with reporter.counting("reading") as count:
            count(1, 2)
        reporter.say("done")
    text = captured.get()
    assert "original train" in text and "loss 0.5" in text and "done" in text


def test_a_quiet_log_has_lines_only():
    console = Console(force_terminal=False, width=100)
    with console.capture() as captured:
        reporter = Reporter(console)
        with reporter.following("original") as follow:
            follow("train", 3, 10, {"loss": 1.5})
        reporter.say("done")
        with reporter.timing("quick"):
            pass
    assert captured.get() == "done\n"


def test_what_is_left_stands_beside_the_bar_of_the_stage():
    console = Console(force_terminal=True, width=120)
    with console.capture() as captured:
        reporter = Reporter(console)
        with reporter.whole(["original", "ssd", "ssd", "scrub"]), reporter.whole(["inner"]):
            reporter.finished("original", None, earlier=30.0)
            reporter.finished("ssd", 10.0)
            with reporter.following("ssd") as follow:
                reporter.board.compiles(True)
                reporter.board.bars.refresh()
                follow("dampen", 1, 2, {})
                reporter.board.bars.refresh()
    text = captured.get()
    assert "compiling" in text and "ssd dampen" in text and "inner" not in text
    # 10 s as the first ssd, and for scrub, of which nothing is known, the mean of the others.
    assert "2/4" in text and "about 30 s left" in text


def test_a_log_says_now_and_then_what_is_left(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    console = Console(force_terminal=False, width=100)
    with console.capture() as captured:
        reporter = Reporter(console)
        with reporter.whole(["a"] * 5):
            for seconds in (1.0, 70.0, 71.0, 140.0, 300.0):
                clock[0] = seconds
                reporter.finished("a", 150.0)
    assert captured.get().splitlines() == [
        "2 of 5 networks are done, about 8 min left",
        "4 of 5 networks are done, about 2 min left",
    ]
