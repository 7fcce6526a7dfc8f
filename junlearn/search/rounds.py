"""Runs the trials of a search: one of each method, then the next of each, until there are as many as wanted."""

import shutil
import time
from pathlib import Path
from typing import NamedTuple, cast

from junlearn.experiment.locks import exclusive
from junlearn.experiment.progress import Reporter
from junlearn.experiment.provenance import Fresh, Provenance, Renewal, differences
from junlearn.experiment.schema import digest
from junlearn.search.findings import Found, Method, Tried
from junlearn.search.question import Question
from junlearn.search.studies import JOURNAL, Asked, Desk, Study
from junlearn.search.trials import Judged, Silent, TrialFailed, judge

__all__ = ["Rounds"]

SEARCH = "search"
"""Folder of the journal, below that of the search."""


class Place(NamedTuple):
    """Where a search keeps what it makes."""

    workdir: Path
    cache_dir: str | None


class Rounds:
    """A search in a directory, which other processes may work in at the same time."""

    def __init__(
        self, question: Question, workdir: Path, cache_dir: str | None, reporter: Reporter
    ) -> None:
        self.question, self.place, self.reporter = question, Place(workdir, cache_dir), reporter
        self.desk = Desk(workdir / SEARCH)
        self.studies = {
            label: Study(
                *(self.desk, label, question.identity(label), space),
                *(question.objective.better, question.search),
            )
            for label, space in question.spaces.items()
        }
        self.renewal = Renewal("nothing")

    @staticmethod
    def begun(workdir: Path) -> bool:
        """Whether a search was begun in a directory; only to look makes nothing there."""
        return (workdir / SEARCH / JOURNAL).exists()

    def done(self) -> dict[str, int]:
        """Trials of each method that are there already."""
        found = {}
        for label, study in self.studies.items():
            if study.begun:
                study.open({}, {})
                found[label] = len(study.trials())
        return found

    def run(self, fresh: Fresh = "nothing") -> None:
        """Run trials until there are as many as wanted, or the time is up.

        What ends it before is an interrupt, or what no trial is to blame for: a full disk, an original network that
        diverges. The same call goes on.
        """
        with self.desk.present():
            with self.desk.turn():
                self._open(fresh)
            going = True
            while going:
                # Every method has its turn, also behind one that has all its trials.
                ran = [self._one(label) for label in self.studies]
                going = any(ran)
            with self.desk.turn():
                short = any(len(s.trials()) < s.search.trials for s in self.studies.values())
                if short and self._late():
                    self.reporter.say(
                        f"the {self.question.search.seconds:g} s of search.seconds are used up: no more trials begin"
                    )

    def found(self) -> Found:
        """What came of it so far, the trials of other processes too."""
        question = self.question
        methods = [
            Method(
                *(label, study.space, question.objective.better, study.tried()),
                *(study.importance(), question.given(label)),
            )
            for label, study in self.studies.items()
        ]
        return Found(
            *(question.objective, question.share, question.seeds, question.search.trials, methods)
        )

    def _open(self, fresh: Fresh) -> None:
        """Begin the studies, or go on with them; `fresh`: which of them begin anew."""
        self.renewal = Renewal(fresh)
        for label, study in self.studies.items():
            made, first = self.question.made(label), self.question.given(label)
            study.open(made, first)
            code = made["code"]
            other = differences(cast(Provenance, study.made), code) if study.made else ""
            if fresh == "all" or (fresh == "changed" and other):
                study.remove()
                shutil.rmtree(self._folder(label), ignore_errors=True)
                study.open(made, first)
            elif other and study.trials():
                self.reporter.say(
                    f"{label}: trials kept, of {other}; --fresh changed makes them anew"
                )

    def _folder(self, label: str) -> Path:
        return self.place.workdir / "trials" / label

    def _one(self, label: str) -> bool:
        """Run the next trial of a method; returns whether there was one."""
        study = self.studies[label]
        with self.desk.turn():
            again = study.reap()
            asked = None if self._late() else study.ask()
        if again:
            what = "trial was" if again == 1 else "trials were"
            self.reporter.say(f"{label}: {again} {what} cut off and will be tried again")
        if asked is None:
            return False
        tried = self._run(study, asked)
        with self.desk.turn():
            study.tell(asked, tried)
        told = _told(tried, len(self.question.seeds))
        self.reporter.say(f"{label}: trial {asked.number} of {study.search.trials}: {told}")
        return True

    def _late(self) -> bool:
        budget = self.question.search.seconds
        return budget is not None and budget <= sum(s.seconds() for s in self.studies.values())

    def _run(self, study: Study, asked: Asked) -> Tried:
        began = time.monotonic()
        found: list[Judged] = []
        state, error = "finished", ""
        folder = self._folder(study.label) / digest(asked.settings)
        # Another process may try the same settings: it finds what this one has measured.
        with exclusive(folder, waiting=self.reporter.say):
            for seed in self.question.seeds:
                try:
                    found.append(self._judge(study.label, asked, seed, folder))
                except TrialFailed as failure:
                    state, error = "failed", str(failure)
                    break
                values = [each.value for each in found]
                if len(values) < len(self.question.seeds) and study.report(asked, values):
                    state = "pruned"
                    break
                if len(values) == len(self.question.seeds):
                    study.report(asked, values)
        parts = {
            name: sum(each.parts[name] for each in found) / len(found)
            for name in (found[0].parts if found else ())
        }
        return Tried(
            *(asked.number, asked.settings, state, [each.value for each in found], parts),  # type: ignore[arg-type]
            *(time.monotonic() - began, error),
        )

    def _judge(self, label: str, asked: Asked, seed: int, folder: Path) -> Judged:
        silent = Silent(self.reporter.console)
        experiment = self.question.trial({label: asked.settings}, seed)
        place = (folder / f"seed_{seed}", self.place.cache_dir)
        return judge(experiment, label, self.question.objective, place, silent, self.renewal)


def _told(tried: Tried, seeds: int) -> str:
    """A trial in a line; `seeds`: how many it was to have."""
    settings = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in tried.settings.items()
    )
    if tried.state == "failed":
        return f"failed ({settings}): {tried.error}"
    spread = "" if tried.spread is None else f" ± {tried.spread:.4f}"
    end = (
        "" if tried.state == "finished" else f", pruned after {len(tried.values)} of {seeds} seeds"
    )
    return f"{tried.value:.4f}{spread} ({settings}){end}, {tried.seconds:.1f} s"
