"""The verbs that change runs."""

import contextlib
import os
import shutil
from collections.abc import Callable

import click

from aqueue import configfile
from aqueue.cli.access import (
    changing,
    complete_run,
    config_or_default,
    directory_option,
    environment,
    find_folder,
    living_servers,
    now,
    reading,
    refuse_if_disabled,
    resolve_all,
    say_if_unserved,
)
from aqueue.cli.types import DURATION
from aqueue.errors import RunError
from aqueue.models import Run, State
from aqueue.store import Store

_PRUNE_BATCH = 1000

_runs_argument = click.argument("runs", nargs=-1, required=True, metavar="RUN…", shell_complete=complete_run)


@click.command()
@directory_option
@_runs_argument
def cancel(directory: str | None, runs: tuple[str, ...]) -> None:
    """Stop runs, or take them off the queue."""
    folder = find_folder(directory)
    stopping = []

    def change(store: Store, run: Run) -> None:
        if store.cancel(run, "cancelled", now()) is State.RUNNING:
            stopping.append(run)

    _change(directory, runs, change)
    with reading(folder) as store:
        if stopping and not living_servers(store, folder):
            click.echo("no server is up: what runs is stopped when `aqueue serve` starts one", err=True)


@click.command()
@directory_option
@_runs_argument
def retry(directory: str | None, runs: tuple[str, ...]) -> None:
    """Queue runs that are over once more, as new attempts."""
    folder = find_folder(directory)
    refuse_if_disabled(config_or_default(folder))
    _change(directory, runs, lambda store, run: store.retry(run))
    with reading(folder) as store:
        say_if_unserved(store, folder)


@click.command()
@directory_option
@_runs_argument
def hold(directory: str | None, runs: tuple[str, ...]) -> None:
    """Keep queued runs from being started."""
    _change(directory, runs, lambda store, run: store.hold(run))


@click.command()
@directory_option
@_runs_argument
def release(directory: str | None, runs: tuple[str, ...]) -> None:
    """Let held runs go."""
    _change(directory, runs, lambda store, run: store.release(run))


@click.command()
@directory_option
@click.option("--keep", type=DURATION, help="Keep what was over more recently; default: as configured, 30d.")
def prune(directory: str | None, keep: float | None) -> None:
    """Forget runs that were over long ago, and remove their files."""
    folder = find_folder(directory)
    before = now() - (configfile.load(folder, environment()).keep if keep is None else keep)
    count = 0
    while True:
        with changing(folder) as store:
            ids = store.ended_before(before, _PRUNE_BATCH, os.listdir(folder.incoming))  # noqa: PTH208 - names
            store.forget(ids)
            store.forget_schedules(before)
            # Before the transaction ends: files of a run that is not known any more would be in the way.
            for id_ in ids:
                with contextlib.suppress(FileNotFoundError):
                    folder.run_dir(id_).rename(folder.runs / f"{id_}.pruned")
        for pruned in folder.runs.glob("*.pruned"):
            shutil.rmtree(pruned, ignore_errors=True)
        if not ids:
            break
        count += len(ids)
    click.echo(f"{count} run{'' if count == 1 else 's'} forgotten")


def _change(directory: str | None, written: tuple[str, ...], change: Callable[[Store, Run], None]) -> None:
    """Change all of the runs, or none when one of them cannot be."""
    with changing(find_folder(directory)) as store:
        runs = resolve_all(store, written)
        for run in runs:
            try:
                change(store, run)
            except RunError as error:
                if len(runs) > 1:
                    raise RunError(f"{error.message}; nothing was changed", error.hint) from None
                raise
