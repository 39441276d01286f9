"""Schedules on a server: stores the contents of their files, makes due runs, and reports both."""

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
from aqueue.model.task import Code, Task
from aqueue.policy.cron import MAX_CAUGHT_UP, MAX_COUNTED
from aqueue.policy.due_code import DueCode
from aqueue.policy.limits import Limits
from aqueue.server.cycle_input import CycleInput
from aqueue.store.due_times import Decided, Made
from aqueue.store.schedules import Changed
from aqueue.store.store import Store
from aqueue.units import counted, plural, spell


class SchedulesResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a cycle for schedules.

    Attributes:
        refused: for each file that was read, why the store refuses it, or None.
        changed: the changed schedules, each with its file.
        missing_code: the due tasks that wait until their code is kept.
        not_caught_up: the schedules whose catchup window has no effect, because queues are disabled.
    """

    refused: Sequence[ScheduleError | None]
    changed: Sequence[tuple[ScheduleFile, Changed]]
    made: Sequence[Made]
    decided: Decided | None
    missing_code: Mapping[Code, Task] = {}
    not_caught_up: Sequence[str]


class Scheduler:
    """The handling of schedules in the cycles of one server.

    Args:
        folder: the folder of their files.
        report: receives changes and due runs.
    """

    def __init__(self, folder: Folder, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._warned: set[str] = set()
        self._caught_up: Counter[str] = Counter()
        self.is_ready = False
        """True once every schedule file has been read; until then a removed one might still make runs."""

    def update(self, store: Store, cycle_input: CycleInput) -> SchedulesResult:
        """Make due runs, and store the contents of schedule files.

        Args:
            store: the store inside the transaction.
        """
        files, limits, now, kept = (
            cycle_input.schedule_files,
            cycle_input.limits,
            cycle_input.now,
            cycle_input.kept,
        )
        makes_runs = cycle_input.makes_due_runs and self.is_ready
        code = store.due_times.code = DueCode(kept)
        # By the schedules in force until now.
        made = store.due_times.make(limits, now) if makes_runs else []
        refused: list[ScheduleError | None] = []
        changed: list[tuple[ScheduleFile, Changed]] = []
        said = {file.name: {schedule.name for schedule in file.schedules} for file in files if not file.error}
        for file in files:
            store.due_times.code = DueCode({**kept, **file.kept})
            try:
                changed += [(file, change) for change in self._apply_file(store, file, said, limits, now)]
                refused.append(None)
            except ScheduleError as error:
                refused.append(error)
        store.due_times.code = code
        # Only if nothing is due now, so that due runs do not wait for it.
        decided = store.due_times.catch_up(limits) if makes_runs and not made else None
        windows = [one.name for file in files for one in file.schedules if one.catchup_window]
        return SchedulesResult(
            refused=refused,
            changed=changed,
            made=made,
            decided=decided,
            missing_code=code.missing,
            not_caught_up=windows if limits.disabled_by else (),
        )

    def report(self, result: SchedulesResult) -> None:
        """Report the result of a cycle."""
        for file, change in result.changed:
            if change.schedule is None:
                self._report(ScheduleChanged(change.name, file.name))
            else:
                paused = change.is_paused
                self._report(ScheduleChanged(change.name, file.name, change.schedule, change.next_due, paused))
                if change.next_due is None and not paused:
                    hint = "check its dates, or remove its file"
                    self._report(Notice(f"schedule {change.name} is never due again; {hint}", urgent=True))
        for name in result.not_caught_up:
            if name not in self._warned:
                self._warned.add(name)
                why = "missed times are not made up for, because queues are disabled"
                self._report(Notice(f"schedule {name}: {why}", urgent=True))
        for made in result.made:
            run, name = made.first, made.accepted.submission.task.name
            if run.state is State.ABORTED:
                self._report(Notice(f"schedule {name}: {run.reason}"))
            else:
                due = f"due {datetime.fromtimestamp(run.scheduled_for or 0.0):%H:%M:%S}"
                size = None if made.accepted.submission.sweep is None else len(made.accepted.run_ids)
                queue = made.accepted.submission.task.queue or name
                self._report(RunAccepted(run.id, name, queue, due, run.state is State.HELD, size))
        if result.decided is not None:
            self._report_caught_up(result.decided)

    def _apply_file(
        self, store: Store, file: ScheduleFile, said: Mapping[str, set[str]], limits: Limits, now: float
    ) -> list[Changed]:
        if file.error:
            store.schedules.record_error(file.name, file.error)
            return []

        def holds(other: str, name: str) -> bool:
            return os.path.lexists(self._folder.path / other) and name in said.get(other, {name})

        return store.schedules.apply_file(
            file.name, file.schedules, now, is_edit=self.is_ready, holds=holds, limits=limits
        )

    def _report_caught_up(self, decided: Decided) -> None:
        name = decided.schedule.name
        if decided.left_out:
            number = f"{decided.left_out}{' or more' if decided.left_out >= MAX_COUNTED else ''}"
            more = f"{number} missed times in its window of {spell(decided.schedule.catchup_window)} are left out"
            self._report(
                Notice(f"schedule {name}: {more}; the newest {MAX_CAUGHT_UP} are made up for", urgent=True)
            )
        self._caught_up[name] += decided.caught_up
        if decided.is_done and (count := self._caught_up.pop(name)):
            times = f"{counted(count, 'missed time')} {plural(count, 'is', 'are')}"
            self._report(Notice(f"schedule {name}: {times} made up for"))
