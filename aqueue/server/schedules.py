"""Schedules on a server: takes up what their files say, makes due runs, and reports both."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from aqueue.errors import ScheduleError
from aqueue.folder.layout import Folder
from aqueue.intake.schedule_files import ScheduleFile
from aqueue.model.events import Notice, Report, RunAccepted, ScheduleChanged
from aqueue.model.run import State
from aqueue.model.schedule import Kept
from aqueue.model.task import Code, Task
from aqueue.policy.cron import MAX_CAUGHT_UP, MAX_COUNTED
from aqueue.policy.due_code import DueCode
from aqueue.policy.limits import Limits
from aqueue.store.due_times import Decided, Made
from aqueue.store.schedules import Changed
from aqueue.store.store import Store
from aqueue.units import spell


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The result for schedules of one transaction.

    Attributes:
        refused: for each file that was read why the store does not take it, or None.
        changed: each with its file.
        lacking: the tasks that are due, and wait until their code is kept.
        not_caught_up: the schedules whose window is of no use, because queues are disabled.
    """

    refused: Sequence[ScheduleError | None]
    changed: Sequence[tuple[ScheduleFile, Changed]]
    made: Sequence[Made]
    decided: Decided | None
    lacking: Mapping[Code, Task] = {}
    not_caught_up: Sequence[str]


class Planner:
    """Looks after the schedules of a folder, in the rounds of a dispatcher.

    Args:
        folder: where their files are.
        report: is told what becomes of them.
    """

    def __init__(self, folder: Folder, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._warned: set[str] = set()
        self._caught_up: Counter[str] = Counter()
        self.is_ready = False
        """True if every schedule file has been read. Before, one that is gone by now might still make runs."""

    def plan(
        self,
        store: Store,
        files: Sequence[ScheduleFile],
        limits: Limits,
        now: float,
        *,
        making: bool,
        kept: Kept,
    ) -> Planned:
        """Do what there is to do.

        Args:
            store: inside the transaction.
            files: what was read.
            making: whether to make runs of what is due.
            kept: the code that is there for that.
        """
        code = store.due_times.code = DueCode(kept)
        # By what was in force until now.
        made = store.due_times.make(limits, now) if making and self.is_ready else []
        refused: list[ScheduleError | None] = []
        changed: list[tuple[ScheduleFile, Changed]] = []
        said = {file.name: {schedule.name for schedule in file.schedules} for file in files if not file.error}
        for file in files:
            store.due_times.code = DueCode({**kept, **file.kept})
            try:
                changed += [(file, change) for change in self._put(store, file, said, limits, now)]
                refused.append(None)
            except ScheduleError as error:
                refused.append(error)
        store.due_times.code = code
        # What is due now is not to wait for that.
        decided = store.due_times.catch_up(limits) if making and self.is_ready and not made else None
        windows = [one.name for file in files for one in file.schedules if one.catchup_window]
        return Planned(
            refused=refused,
            changed=changed,
            made=made,
            decided=decided,
            lacking=code.lacking,
            not_caught_up=windows if limits.disabled_by else (),
        )

    def tell(self, planned: Planned) -> None:
        """Report what was done."""
        for file, change in planned.changed:
            if change.schedule is None:
                self._report(ScheduleChanged(change.name, file.name))
            else:
                paused = change.is_paused
                self._report(ScheduleChanged(change.name, file.name, change.schedule, change.next_due, paused))
                if change.next_due is None and not paused:
                    self._report(Notice(f"schedule {change.name} is never due again: is that meant?", urgent=True))
        for name in planned.not_caught_up:
            if name not in self._warned:
                self._warned.add(name)
                why = "queues are disabled"
                self._report(Notice(f"schedule {name}: what it missed is not made up for: {why}", urgent=True))
        for made in planned.made:
            run, name = made.first, made.accepted.submission.task.name
            if run.state is State.ABORTED:
                self._report(Notice(f"schedule {name}: {run.reason}"))
            else:
                due = f"due {datetime.fromtimestamp(run.scheduled_for or 0.0):%H:%M:%S}"
                size = None if made.accepted.submission.sweep is None else len(made.accepted.run_ids)
                queue = made.accepted.submission.task.queue or name
                self._report(RunAccepted(run.id, name, queue, due, run.state is State.HELD, size))
        if planned.decided is not None:
            self._tell_decision(planned.decided)

    def _put(
        self, store: Store, file: ScheduleFile, said: Mapping[str, set[str]], limits: Limits, now: float
    ) -> list[Changed]:
        if file.error:
            store.schedules.put_error(file.name, file.error)
            return []

        def holds(other: str, name: str) -> bool:
            return os.path.lexists(self._folder.path / other) and name in said.get(other, {name})

        return store.schedules.put(
            file.name, file.schedules, now, is_edit=self.is_ready, holds=holds, limits=limits
        )

    def _tell_decision(self, decided: Decided) -> None:
        name = decided.schedule.name
        if decided.left_out:
            number = f"{decided.left_out}{' or more' if decided.left_out >= MAX_COUNTED else ''}"
            more = f"{number} missed times in its window of {spell(decided.schedule.catchup_window)} are left out"
            self._report(
                Notice(f"schedule {name}: {more}; the newest {MAX_CAUGHT_UP} are made up for", urgent=True)
            )
        self._caught_up[name] += decided.caught_up
        if decided.is_done and (count := self._caught_up.pop(name)):
            times = "1 missed time is" if count == 1 else f"{count} missed times are"
            self._report(Notice(f"schedule {name}: {times} made up for"))
