"""Reports of a cycle's result: to the user of this server, and to other servers."""

from collections.abc import Iterator

from aqueue.folder.layout import Folder
from aqueue.gpus.monitor import GpuMonitor
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.model.events import Event, Report, RunAborted, RunAccepted, RunEnded, RunStarted
from aqueue.model.run import ENDED, State
from aqueue.model.submission import Accepted
from aqueue.server.cycle_input import CycleInput
from aqueue.server.cycle_result import CycleResult
from aqueue.server.notifier import Notifier
from aqueue.server.schedules import Scheduler


class ResultReporter:
    """The reports of one server's cycles.

    Args:
        gpus: receives accepted runs, to report those that request more GPUs than there are.
        scheduler: reports the changes of schedules.
        notifier: sends messages.
    """

    def __init__(
        self, folder: Folder, gpus: GpuMonitor, scheduler: Scheduler, notifier: Notifier, report: Report
    ) -> None:
        self._folder = folder
        self._gpus = gpus
        self._scheduler = scheduler
        self._notifier = notifier
        self._report = report
        self.failed: set[int] = set()
        """The runs that failed on this server."""

    def ring_if_others_are_concerned(self, result: CycleResult) -> None:
        """Ring the bell if another server may now start a run or leave."""
        if result.concerns_others:
            self._folder.ring()

    def report(self, cycle_input: CycleInput, result: CycleResult) -> None:
        """Report the result of a cycle."""
        new = list(_newly_accepted(cycle_input, result))
        self._report(*(_event_of_accepted(*one) for one in new))
        for accepted in (*(one for _, one in new), *(made.accepted for made in result.schedules.made)):
            for id_ in accepted.run_ids:
                self._gpus.expect(id_, accepted.submission.task)
        self._scheduler.report(result.schedules)
        self._report(*_events_of_attempts(result))
        for _, run in result.ended:
            if run.state is State.FAILED:
                self.failed.add(run.id)
            elif run.state in ENDED:
                # It failed before and was retried.
                self.failed.discard(run.id)
        if result.ended or result.claimed or result.schedules.made:
            self._folder.notify_clients()
        if result.has_messages:
            self._notifier.wake()


def _newly_accepted(cycle_input: CycleInput, result: CycleResult) -> Iterator[tuple[ClaimedFile, Accepted]]:
    """Yield each new submission, with its file."""
    for file in cycle_input.files:
        if file.name not in result.already_accepted:
            yield from ((file, accepted) for accepted in result.accepted[file.name])


def _event_of_accepted(file: ClaimedFile, accepted: Accepted) -> RunAccepted:
    task, ids = accepted.submission.task, accepted.run_ids
    size = None if accepted.submission.sweep is None else len(ids)
    return RunAccepted(ids[0], task.name, task.queue or task.name, file.source, task.hold, size)


def _events_of_attempts(result: CycleResult) -> Iterator[Event]:
    """Yield the events of attempts: first those that ended, then those that started or were adopted."""
    for _, run in result.ended:
        yield RunEnded(run, run.took or 0.0)
    for run in result.aborted:
        yield RunAborted(run)
    for run in result.claimed:
        yield RunStarted(run)
    for adopted in result.adopted:
        yield RunStarted(adopted.run, adopted=True)
