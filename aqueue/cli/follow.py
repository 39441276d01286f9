"""The verbs that stay until something happens."""

import sqlite3
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from aqueue.cli.completion import complete_run, group_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import note, say_warning
from aqueue.cli.options import COUNT, directory_option
from aqueue.cli.output import say
from aqueue.client.prospects import unserved
from aqueue.client.session import newest_of_each, opened, resolve_all
from aqueue.client.wait_reasons import can_end, waits
from aqueue.errors import RunError
from aqueue.executors import long_logs
from aqueue.folder import no_links
from aqueue.folder.layout import Folder
from aqueue.model.run import ENDED, Run, State
from aqueue.store.database import snapshot
from aqueue.store.store import Store
from aqueue.units import spell

T = TypeVar("T")

_LOOK_AGAIN = 5.0
_SHOWN = 5


@click.command()
@directory_option
@click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=complete_run)
@group_option
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def wait(directory: str | None, runs: tuple[str, ...], group: str | None, quiet: bool) -> None:
    """Wait until runs are over: those named, or all that are queued or running now.

    It ends, too, once all that is left needs a person before it can start. Exits with 1 if one of them did not
    succeed.
    """
    folder = find_folder(directory)
    with opened(folder) as connection:
        with snapshot(connection, folder):
            store = Store(connection)
            if runs or group is not None:
                waiting = resolve_all(store, runs)
                waiting += newest_of_each(resolve_all(store, (), group)) if group is not None else []
            else:
                waiting = store.runs.select(states=[State.QUEUED, State.RUNNING])
        succeeded, has_said = True, False
        wait_for_news = _news(folder)
        left = {run.id for run in waiting}
        while True:
            ended, gone, stuck = _read(connection, folder, partial(_progress, folder=folder, left=left))
            for id_ in gone:
                # Taken off its queue; or over, and pruned at once: there is no telling how it ended.
                left.discard(id_)
                succeeded = False
                if not quiet:
                    say(f"run {id_} is gone")
            for run in ended:
                left.discard(run.id)
                succeeded = succeeded and run.state is State.SUCCEEDED
                if not quiet:
                    say(_ended(run))
            if not left or stuck:
                break
            if not has_said:
                has_said = True
                note(_read(connection, folder, partial(unserved, where=folder)))
            wait_for_news()
    if stuck and not quiet:
        _say_why_left(stuck)
    if stuck or not succeeded:
        raise click.exceptions.Exit(1)


def _progress(store: Store, folder: Folder, left: set[int]) -> tuple[list[Run], list[int], list[tuple[Run, str]]]:
    """Return which runs are over, which are gone, and the rest with reasons if none of it can go on by itself."""
    ended, gone = store.runs.ended(left)
    rest = sorted(left - {run.id for run in ended} - {*gone})
    if not rest or can_end(store, folder, rest):
        return ended, gone, []
    runs = [run for run in map(store.runs.get, rest) if run is not None]
    why = waits(store, folder, runs, say_warning)
    return ended, gone, [(run, reason or "") for run, reason in zip(runs, why, strict=True)]


def _say_why_left(stuck: Sequence[tuple[Run, str]]) -> None:
    for run, why in stuck[:_SHOWN]:
        say(f"run {run.id} {run.name} cannot start: {why}", err=True)
    if len(stuck) > _SHOWN:
        say(f"{len(stuck) - _SHOWN} more cannot start; `aqueue ls` shows why", err=True)


@click.command()
@directory_option
@click.argument("run", shell_complete=complete_run)
@click.option(
    "-f", "--follow", is_flag=True, help="Go on until the run is over, or cannot start without a person."
)
@click.option("--attempt", type=COUNT, help="Of this attempt; default: the last.")
def logs(directory: str | None, run: str, follow: bool, attempt: int | None) -> None:
    """Show the output of a run."""
    folder = find_folder(directory)
    with opened(folder) as connection:
        found = _read(connection, folder, lambda store: store.runs.resolve(run))
        if attempt is not None and attempt > found.attempt:
            raise RunError(f"run {found.id} has had {found.attempt} attempts", "choose one of them with --attempt")
        if not follow:
            _show(folder, found, attempt or found.attempt)
            return
        _follow(connection, folder, found, attempt)


def _show(folder: Folder, run: Run, attempt: int) -> None:
    log = folder.log(run.id, attempt)
    if run.attempt == 0 and run.state not in ENDED:
        raise RunError(f"run {run.id} has not been started yet", f"`aqueue logs -f {run.id}` waits for it")
    if not log.exists() and run.state is not State.RUNNING:
        raise _no_output(run)
    _copy(log, 0, run.task.log_limit)


def _no_output(run: Run) -> RunError:
    reason = run.reason or "it was pruned"
    return RunError(f"run {run.id} has no output: {reason}", f"`aqueue show {run.id}` tells more")


def _follow(connection: sqlite3.Connection, folder: Folder, run: Run, attempt: int | None) -> None:
    """Copy what is written, attempt after attempt, until the run is over.

    Raises:
        RunError: there was nothing to copy, not even an empty log.
        Exit: only a person can have it started.
    """
    number, position = attempt or max(run.attempt, 1), 0
    directory, watching = folder.run_dir(run.id), False
    has_log, has_said = False, False
    wait_for_more = _news(folder)
    while True:
        # Read before the log is: what was written until it was over is all there then.
        current, stuck = _read(connection, folder, partial(_whereabouts, folder=folder, id_=run.id))
        log = folder.log(run.id, number)
        has_log = has_log or log.exists()
        position = _copy(log, position, run.task.log_limit)
        if current is None:
            if not has_log:
                raise RunError(f"run {run.id} is gone: it was taken off its queue, or pruned")
            return
        run = current
        if run.attempt > number and attempt is None:
            number, position = number + 1, 0
        elif run.state in ENDED or run.attempt > number:
            if not has_log:
                raise _no_output(run)
            return
        elif directory.exists() and not watching:
            # Looked at once more before waiting: the watch reports only what comes after it was made.
            watching = True
            wait_for_more = _news(folder, directory)
        elif stuck:
            _say_why_left(stuck)
            raise click.exceptions.Exit(1)
        else:
            if not has_said:
                has_said = True
                note(_read(connection, folder, partial(unserved, where=folder)))
            wait_for_more()


def _whereabouts(store: Store, folder: Folder, id_: int) -> tuple[Run | None, list[tuple[Run, str]]]:
    """Return a run, and, if only a person can have it started, once more with the reason."""
    run = store.runs.get(id_)
    # While it runs, there is something new all the time.
    return run, [] if run is None or run.state is State.RUNNING else _progress(store, folder, {id_})[2]


def _copy(log: Path, position: int, limit: int | None) -> int:
    """Copy the log from `position` on to the output, and return how far that went."""
    out = sys.stdout.buffer
    try:
        for piece, after in long_logs.read(log, position, limit):
            out.write(piece)
            position = after
    except FileNotFoundError:
        return position
    except OSError as error:
        if not no_links.is_refused(error):
            raise
        raise RunError(f"{log} is a link that somebody has put there", f"`readlink {log}` says where to") from None
    out.flush()
    return position


def _news(folder: Folder, *more: Path) -> Callable[[], None]:
    from aqueue.folder.watch import watch_files

    folder.tell()
    return watch_files([str(folder.news), *map(str, more)], _LOOK_AGAIN)


def _read(connection: sqlite3.Connection, folder: Folder, ask: Callable[[Store], T]) -> T:
    with snapshot(connection, folder):
        return ask(Store(connection))


def _ended(run: Run) -> str:
    after = "" if run.took is None else f" after {spell(run.took)}"
    why = f": {run.reason}" if run.reason and run.state is not State.SUCCEEDED else ""
    return f"{run.id} {run.name} {run.state}{after}{why}"
