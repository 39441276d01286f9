"""The command that shows servers, queues, GPUs and schedules."""

from collections import Counter
from collections.abc import Mapping, Sequence

import click

from aqueue.cli import tables
from aqueue.cli import untaken as untaken_files
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.cli.plain_table import Column, Cut, Table
from aqueue.client.progress_words import group_in_words, progress_in_words
from aqueue.client.session import now
from aqueue.client.status import QueueState, Status, take_status
from aqueue.client.views.status import status_as_json
from aqueue.folder.layout import display_path
from aqueue.model.basics import NO_SERVER
from aqueue.model.run import State
from aqueue.model.schedule import StoredSchedule
from aqueue.model.server import Server
from aqueue.units import counted, listed_gpus, spell

_OLD_LOOK = 60.0

_MAX_ROWS = 50

_MAX_PROGRESS = 20


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(directory: str | None, as_json: bool) -> None:
    """Show servers, queues, GPUs and schedules."""
    from aqueue.cli.gpus import one_line

    folder = find_folder(directory)
    seen = take_status(folder, print_warning)
    if as_json:
        tables.print_json(status_as_json(seen))
        return
    for server, hindrance in seen.servers:
        say(_described(server, seen.config.stale_after, seen.moment, hindrance))
    if not seen.servers:
        say(f"{NO_SERVER}; `aqueue serve` starts one")
    if seen.config.disabled_by and not seen.servers:
        say(f"queues are disabled ({seen.config.disabled_by}): nothing is started")
    for run in seen.left_behind[:_MAX_ROWS]:
        say(f"run {run.id} {run.name} is {run.state}, {run.reason}")
    for line in untaken_files.in_full(folder, seen.not_taken, *seen.rejected):
        say(line)
    for line in _progress(seen):
        say(line)
    if seen.ended_today:
        say(_ended_today(seen.ended_today))
    if seen.schedules:
        say(_next_schedule([state.stored for state in seen.schedules]))
    for gpu in seen.gpus:
        say(one_line(gpu))
    if seen.gpus and (age := now() - seen.gpus_seen_at) > _OLD_LOOK:
        say(f"  as of {spell(age)} ago; `aqueue gpus` shows the current state")
    if not seen.queues:
        say("nothing is queued, running or held")
        return
    table = Table([Column("QUEUE", Cut.MIDDLE), *map(Column, ("RUNNING", "QUEUED", "HELD", "SLOTS"))])
    shown_rows = _together(seen.queues)
    for queue in shown_rows[:_MAX_ROWS]:
        notes = [] if queue.configured else ["not configured"]
        notes += ["paused"] if queue.paused else []
        slots = str(queue.max_concurrency) + (f" ({', '.join(notes)})" if notes else "")
        table.add_row(queue.name, str(queue.running), str(queue.queued), str(queue.held), slots)
    tables.print_table(table)
    if len(shown_rows) > _MAX_ROWS:
        say(f"{len(shown_rows) - _MAX_ROWS} more queues; --json shows them", err=True)


def _together(queues: Sequence[QueueState]) -> list[QueueState]:
    """Return the queues, those of the runs of a sweep in one row: each of them has one to itself."""
    rows: dict[str, QueueState] = {}
    numbers: Counter[str] = Counter()
    for queue in queues:
        stem, _, number = queue.name.rpartition("-")
        if queue.configured or queue.paused or not stem or not number.isdigit():
            rows[queue.name] = queue
            continue
        name = f"{stem}-*"
        numbers[name] += 1
        rows[name] = _sum(rows[name], queue, f"{name} ({numbers[name]} queues)") if name in rows else queue
    return list(rows.values())


def _sum(one: QueueState, other: QueueState, name: str) -> QueueState:
    return other._replace(
        name=name,
        max_concurrency=one.max_concurrency + other.max_concurrency,
        running=one.running + other.running,
        queued=one.queued + other.queued,
        held=one.held + other.held,
    )


def _described(server: Server, stale_after: float, moment: float, hindrance: str) -> str:
    parts = [
        f"up for {spell(max(moment - server.started_at, 0))}",
        f"up to {counted(server.max_jobs, 'run')} at a time",
    ]
    if server.queues is not None:
        parts.append(f"only {', '.join(server.queues)}")
    for ids in server.owns:
        parts.append(f"only {listed_gpus(map(str, ids))}" if ids else "no GPU")
    if server.disabled_by is not None:
        parts.append(f"starts nothing but schedules: queues are disabled ({server.disabled_by})")
    if hindrance:
        parts.append(f"starts nothing: {hindrance}")
    if server.leaving is not None:
        parts.append("leaving")
    if (silent := moment - server.heartbeat_at) > stale_after:
        parts.append(f"but not responding for {spell(silent)}")
    log = f"\n  its log: {display_path(server.log)}" if server.log else ""
    return f"server {server.pid}: {', '.join(parts)}{log}"


def _progress(seen: Status) -> list[str]:
    """Return how far groups are, and runs that belong to none of them."""
    lines = [f"group {group.name}: {group_in_words(group)}" for group in seen.groups]
    shown = {group.name for group in seen.groups}
    alone = [(run, progress) for run, progress in seen.running if run.task.group not in shown]
    lines += [f"run {run.id} {run.name}: {progress_in_words(progress)}" for run, progress in alone]
    more = [f"{len(lines) - _MAX_PROGRESS} more; `aqueue ls --running` shows them"]
    return lines[:_MAX_PROGRESS] + (more if len(lines) > _MAX_PROGRESS else [])


def _ended_today(counts: Mapping[State, int]) -> str:
    parts = ", ".join(f"{counts[state]} {state}" for state in State if state in counts)
    shown = "; `aqueue ls --failed --since today` shows the failed ones" if State.FAILED in counts else ""
    return f"since midnight: {parts}{shown}"


def _next_schedule(schedules: Sequence[StoredSchedule]) -> str:
    parts = [f"{counted(len(schedules), 'schedule')}"]
    due = [one for one in schedules if one.next_due is not None]
    if due:
        from aqueue.client.due_times import at_home

        first = min(due, key=lambda one: (one.next_due or 0.0, one.name))
        moment = first.next_due or 0.0
        is_due = moment <= now()
        parts.append(
            f"{first.name} is due" if is_due else f"next {first.name} at {at_home(first.schedule, moment)}"
        )
    if paused := sum(one.paused for one in schedules):
        parts.append(f"{paused} paused")
    if files := {one.file for one in schedules if one.error is not None}:
        parts.append(f"{counted(len(files), 'file')} with errors, see `aqueue schedules`")
    return ", ".join(parts)
