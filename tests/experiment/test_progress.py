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
