"""The verbs that are about a queue or a schedule as a whole, and the one that takes a run off a queue."""

import contextlib
import shutil

import click

from aqueue.cli.completion import complete_queue, complete_schedule
from aqueue.cli.context import find_folder
from aqueue.cli.messages import note, say_warning, say_what_hangs_on
from aqueue.cli.options import NAME_TYPE, F, directory_option
from aqueue.cli.output import report, say
from aqueue.client.prospects import unserved
from aqueue.client.session import changing, config_or_default, now
from aqueue.errors import QueueError, RunError
from aqueue.folder.layout import Folder
from aqueue.intake import filing
from aqueue.model.run import Run, State
from aqueue.store import database
from aqueue.store.lifecycle import Store

_queue_argument = click.argument("queue", type=NAME_TYPE, shell_complete=complete_queue)


def _queue_or_schedule(command: F) -> F:
    """Give a command the argument QUEUE or the option `--schedule`, as `queue` and `schedule`: one of them."""
    argument = click.argument("queue", type=NAME_TYPE, required=False, shell_complete=complete_queue)
    option = click.option(
        "--schedule", metavar="NAME", shell_complete=complete_schedule, help="A schedule, not a queue."
    )
    return argument(option(command))


def _one_of(queue: str | None, schedule: str | None) -> None:
    if (queue is None) == (schedule is None):
        raise click.UsageError("name a queue, or a schedule with --schedule")


@click.command()
@directory_option
@_queue_or_schedule
def pause(directory: str | None, queue: str | None, schedule: str | None) -> None:
    """Start nothing more of QUEUE until it is resumed; what runs goes on.

    A schedule that is paused makes no runs, and what is due meanwhile is not made up for.
    """
    _one_of(queue, schedule)
    folder = find_folder(directory)
    if schedule is not None:
        with changing(folder) as store:
            store.pause_schedule(schedule, now())
        report(f"schedule {schedule} is paused; `aqueue resume --schedule {schedule}` lets it go on")
        return
    with changing(folder) as store:
        store.pause(str(queue))
        is_schedule = any(stored.name == queue for stored in store.schedules())
    report(f"queue {queue} is paused; `aqueue resume {queue}` lets it go on")
    if is_schedule:
        say(f"the schedule goes on queueing runs; `aqueue pause --schedule {queue}` pauses it", err=True)


@click.command()
@directory_option
@_queue_or_schedule
def resume(directory: str | None, queue: str | None, schedule: str | None) -> None:
    """Let QUEUE, or a schedule, go on."""
    _one_of(queue, schedule)
    folder = find_folder(directory)
    if schedule is not None:
        with changing(folder) as store:
            was_paused = store.resume_schedule(schedule, now())
        report(f"schedule {schedule} goes on" if was_paused else f"schedule {schedule} was not paused")
        return
    with changing(folder) as store:
        was_paused = store.resume(str(queue))
        if was_paused and store.first(str(queue)) is not None:
            note(unserved(store, folder))
    configured = config_or_default(folder, say_warning).queues.get(str(queue))
    if configured is not None and configured.paused:
        raise QueueError(f"queue {queue} is paused in aqueue.yaml", "remove `paused: true` there")
    report(f"queue {queue} goes on" if was_paused else f"queue {queue} was not paused")


@click.command()
@directory_option
@_queue_argument
@click.option("-d", "--run", "written", metavar="NAME:RUN_ID", help="That run, wherever it is in the queue.")
def dequeue(directory: str | None, queue: str, written: str | None) -> None:
    """Take the first run off QUEUE, or the one that -d names.

    It is aborted; one that never had an attempt is forgotten altogether.
    """
    folder = find_folder(directory)
    with changing(folder) as store:
        run = store.first(queue) if written is None else _queued(store.resolve(written), queue)
        if run is None:
            raise QueueError(f"queue {queue} is empty", "`aqueue status` shows which queues are not")
        source = store.source(run)
        dependents = store.dependents([run])
        is_forgotten = store.dequeue(run, "dequeued", now())
        _file_away(folder, store, source)
    if is_forgotten:
        shutil.rmtree(folder.run_dir(run.id), ignore_errors=True)
    taken = f"{run.id} {run.name}:{run.run_id}"
    report(taken, f"{taken} was taken off queue {queue}")
    say_what_hangs_on(1, dependents)


def _queued(run: Run, queue: str) -> Run:
    """The run, if it is queued there.

    Raises:
        RunError: it is not.
    """
    which = f"run {run.name}:{run.run_id}"
    if run.queue != queue:
        raise RunError(f"{which} is not in queue {queue}", f"it is in queue {run.queue}")
    if run.state is State.RUNNING:
        raise RunError(f"{which} is running", f"`aqueue cancel {run.id}` stops it")
    if run.state is State.HELD:
        raise RunError(f"{which} is held, not queued", f"`aqueue cancel {run.id}` aborts it")
    return run


def _file_away(folder: Folder, store: Store, source: str | None) -> None:
    """Put the file that a run comes from where no server takes it for a new one.

    A server does that by itself a moment after it has accepted a file; were the run forgotten before, the file
    would become a run once more after a crash.
    """
    name = (source or "").rpartition(":")[0]
    if not name or not (folder.incoming / name).exists():
        return
    database.make_durable(folder)
    # Unless a server has just done so, or is about to, once nobody writes to it.
    with contextlib.suppress(FileNotFoundError, BlockingIOError):
        filing.file_away(folder, name, store.runs_of(name))
