"""The verbs about runs: the list of them, and those that change runs."""

import functools
from collections.abc import Sequence
from typing import Any, Unpack, cast

import click

from aqueue.cli import columns as printing
from aqueue.cli import tables
from aqueue.cli import untaken as untaken_files
from aqueue.cli.completion import complete_queue, complete_run, group_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import named_runs, say_aborted_with, say_warning
from aqueue.cli.options import COUNT, DURATION, F, directory_option
from aqueue.cli.output import note, put_by, report, say
from aqueue.cli.plain_table import Table
from aqueue.client import actions, pruning
from aqueue.client import columns as tabulating
from aqueue.client.actions import Which
from aqueue.client.listing import Chosen, ids_of, slices_as_json
from aqueue.client.prospects import unseen
from aqueue.client.session import config_or_default, present, reading
from aqueue.client.untaken import untaken
from aqueue.client.wait_reasons import Waits, waits
from aqueue.folder import rejected
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.units import counted, plural
from aqueue.visible import visible

_ROWS = 50

_MUCH = 16 << 20
"""The number of bytes not given back that is worth a note."""


def _choice_options(command: F) -> F:
    """Give a command the options that choose runs, as the fields of `Chosen`."""
    chosen = [
        click.option(
            f"--{state}",
            "states",
            flag_value=str(state),
            multiple=True,
            callback=lambda _ctx, _param, states: [State(state) for state in states],
            help=f"Show only {state} runs.",
        )
        for state in State
    ]
    chosen += [
        click.option(
            "--queue", metavar="NAME", shell_complete=complete_queue, help="Show only runs in this queue."
        ),
        click.option(
            "--tag", metavar="TAG", help="Show only runs with this tag: key=value, or key for any value."
        ),
        group_option("Show only runs in this group."),
    ]
    for option in reversed(chosen):
        command = option(command)
    return command


@click.command("ls")
@directory_option
@_choice_options
@click.option("--limit", type=COUNT, metavar="N", help=f"Show at most N runs (default: {_ROWS}).")
@click.option("--metrics", "measured", is_flag=True, help="Show params and metrics, oldest run first.")
@click.option("--sort", "key", metavar="[-]KEY", help="Sort by a column, param or metric; -KEY: largest first.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all runs as CSV, oldest first.")
@click.option("--json", "as_json", is_flag=True, help="Print all runs as JSON, oldest first.")
def list_(
    directory: str | None,
    limit: int | None,
    measured: bool,
    key: str | None,
    as_csv: bool,
    as_json: bool,
    **chosen: Unpack[Chosen],
) -> None:
    """List runs, newest first."""
    if as_csv and as_json:
        raise click.UsageError("--csv and --json cannot be used together")
    folder = find_folder(directory)
    is_for_people = not as_csv and not as_json
    if limit is None and is_for_people and not (measured and chosen["group"] is not None):
        limit = _ROWS
    if as_json:
        _print_as_json(folder, chosen, key, limit)
        return
    with reading(folder) as store:
        moment = present(store)
        ids = ids_of(store, chosen, key, limit)
        if measured:
            columns = tabulating.columns_of(store.runs.each(sorted(ids)), moment)
        elif as_csv:
            known = Waits(store, folder, say_warning)
            rows = [
                row
                for runs in store.runs.in_slices(ids)
                for row in tabulating.facts_of(runs, known.of(runs), moment)
            ]
        else:
            few = list(store.runs.each(ids[::-1] if key is None else ids))
            why = waits(store, folder, few, say_warning)
            if (alone := unseen(store, folder)) is not None:
                why = [alone if run.state is State.RUNNING else text for run, text in zip(few, why, strict=True)]
        total = store.runs.count(**chosen)
        left = untaken(store, folder, config_or_default(folder)) if is_for_people else []
    if measured:
        printing.print_measured(ids, columns, as_csv=as_csv)
    elif as_csv:
        printing.print_facts(rows)
    else:
        _print_runs(few, why, moment)
    if total > len(ids) and is_for_people:
        say(f"{total - len(ids)} more; --limit shows them", err=True)
    if is_for_people:
        untaken_files.say_in_short(folder, left, rejected.newest(folder)[0])


def _print_as_json(folder: Folder, chosen: Chosen, key: str | None, limit: int | None) -> None:
    """Print the runs as JSON, however many there are."""
    with put_by() as put, reading(folder) as store:
        ids = ids_of(store, chosen, key, limit)
        slices = slices_as_json(store, folder, ids, say_warning)
        for piece in tables.json_of_slices(slices):
            put(piece)


def _print_runs(runs: Sequence[Run], why: Sequence[str | None], moment: float) -> None:
    table = Table(["id", "name", "queue", "state", "took", "why…"])
    for run, wait in zip(runs, why, strict=True):
        text = visible(wait or run.reason or "")
        table.add_row(
            str(run.id), run.name, run.queue, tables.state_cell(run.state), tables.took(run, moment), text
        )
    tables.print_table(table)


def _runs_or_group(command: F) -> F:
    """Give a command the runs it is about, as `which`; some must be named, or a group."""

    @functools.wraps(command)
    def checked(*, runs: tuple[str, ...], group: str | None, **others: Any) -> Any:
        if not runs and group is None:
            raise click.UsageError("no runs are given\nname them, or use --group NAME")
        return command(which=Which(runs, group), **others)

    argument = click.argument("runs", nargs=-1, metavar="[RUN…]", shell_complete=complete_run)
    return cast("F", argument(group_option("Include all runs in this group.")(checked)))


@click.command()
@directory_option
@_runs_or_group
def cancel(directory: str | None, which: Which) -> None:
    """Cancel runs: stop running ones, and remove queued ones from their queue.

    Runs that wait for them with `after` or `needs` are aborted, too.
    """
    cancelled = actions.cancel(find_folder(directory), which)
    _say_if_none(cancelled.runs, which)
    if cancelled.is_without_room:
        _say_stopped(cancelled.runs)
        return
    for run, state in zip(cancelled.runs, cancelled.states, strict=True):
        if state in (State.SUCCEEDED, State.FAILED):
            note(f"run {run.id} is {state} again: its retry was cancelled")
    if State.RUNNING in cancelled.states and not cancelled.is_served:
        note("no server is up: running tasks are stopped once `aqueue serve` starts one")
    say_aborted_with(len(cancelled.runs), cancelled.dependents)


@click.command()
@directory_option
@_runs_or_group
@click.option("--failed", is_flag=True, help="Retry only failed runs.")
def retry(directory: str | None, which: Which, failed: bool) -> None:
    """Queue finished runs again, as new attempts."""
    retried = actions.retry(find_folder(directory), which, say_warning, only_failed=failed)
    if not retried.runs and which.written:
        note("nothing to do: none of these runs failed")
        return
    _say_if_none(retried.runs, which)
    note(retried.unserved)
    if retried.others:
        them = plural(len(retried.runs), "it", "them")
        note(f"{named_runs(retried.others)} {plural(len(retried.others), 'waits', 'wait')} for {them} again")


@click.command()
@directory_option
@_runs_or_group
def hold(directory: str | None, which: Which) -> None:
    """Keep queued runs from starting until `aqueue release`."""
    _say_if_none(actions.hold(find_folder(directory), which), which)


@click.command()
@directory_option
@_runs_or_group
def release(directory: str | None, which: Which) -> None:
    """Let held runs start."""
    released = actions.release(find_folder(directory), which)
    _say_if_none(released.runs, which)
    note(released.unserved)


@click.command()
@directory_option
@click.option(
    "--keep",
    type=DURATION,
    help="Keep runs that ended within this time (default: `history.keep` in aqueue.yaml, or 30d).",
)
def prune(directory: str | None, keep: float | None) -> None:
    """Delete old finished runs and their files."""
    pruned = pruning.prune(find_folder(directory), keep, say_warning)
    report(f"{counted(pruned.runs, 'run')} deleted")
    if pruned.bytes_left >= _MUCH:
        how = "; to free it, run `aqueue prune` while no server is up" if pruned.is_served else ""
        note(f"{pruned.bytes_left >> 20} MiB of {pruned.database} stay reserved for later runs{how}")


def _say_if_none(runs: Sequence[Run], which: Which) -> None:
    if not runs:
        note(f"nothing to do: no run of group {which.group} is in such a state")


def _say_stopped(runs: Sequence[Run]) -> None:
    are = plural(len(runs), "is", "are")
    note(f"the disk is full: {named_runs(runs)} {are} stopped anyway, and shown as stopped once there is room")
