"""The commands that pause and resume queues and schedules, and that remove a run from a queue."""

import click

from aqueue.cli.completion import complete_queue, complete_schedule
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_aborted, print_warning
from aqueue.cli.options import NAME_TYPE, F, directory_option
from aqueue.cli.output import note, report
from aqueue.client import queues

_queue_argument = click.argument("queue", type=NAME_TYPE, shell_complete=complete_queue)


def _queue_or_schedule(command: F) -> F:
    """Give a command the argument QUEUE and the option `--schedule`, as `queue` and `schedule`."""
    argument = click.argument("queue", type=NAME_TYPE, required=False, shell_complete=complete_queue)
    option = click.option(
        "--schedule",
        metavar="NAME",
        shell_complete=complete_schedule,
        help="Schedule to use instead of a queue.",
    )
    return argument(option(command))


def _one_of(queue: str | None, schedule: str | None) -> None:
    if (queue is None) == (schedule is None):
        raise click.UsageError("name either a QUEUE or a --schedule")


@click.command()
@directory_option
@_queue_or_schedule
def pause(directory: str | None, queue: str | None, schedule: str | None) -> None:
    """Pause QUEUE or a schedule until `aqueue resume`.

    No more runs of a paused queue start; those that are running continue. A paused schedule makes no runs, and
    times that pass meanwhile are not made up for.
    """
    _one_of(queue, schedule)
    folder = find_folder(directory)
    if schedule is not None:
        queues.pause_schedule(folder, schedule)
        report(f"schedule {schedule} is paused; `aqueue resume --schedule {schedule}` resumes it")
        return
    paused = queues.pause(folder, str(queue))
    report(f"queue {queue} is paused; `aqueue resume {queue}` resumes it")
    if paused.is_new:
        note(f"there is no queue {queue} yet: runs that come to it will wait")
    if paused.is_schedule:
        note(f"the schedule {queue} still queues runs; `aqueue pause --schedule {queue}` pauses it")


@click.command()
@directory_option
@_queue_or_schedule
def resume(directory: str | None, queue: str | None, schedule: str | None) -> None:
    """Resume a paused QUEUE or schedule."""
    _one_of(queue, schedule)
    folder = find_folder(directory)
    if schedule is not None:
        was_paused = queues.resume_schedule(folder, schedule)
        report(f"schedule {schedule} is resumed" if was_paused else f"schedule {schedule} was not paused")
        return
    resumed = queues.resume(folder, str(queue), print_warning)
    note(resumed.unserved)
    if resumed.error is not None:
        raise resumed.error
    report(f"queue {queue} is resumed" if resumed.was_paused else f"queue {queue} was not paused")


@click.command()
@directory_option
@_queue_argument
@click.option("-d", "--run", "written", metavar="NAME:RUN_ID", help="Run to remove instead of the first.")
def dequeue(directory: str | None, queue: str, written: str | None) -> None:
    """Remove the first run from QUEUE, or the one that -d names.

    The run is aborted; if it has never started, it is deleted.
    """
    run, dependents = queues.dequeue(find_folder(directory), queue, written)
    taken = f"{run.id} {run.name}:{run.run_id}"
    report(taken, f"{taken} was removed from queue {queue}")
    print_aborted(1, dependents)
