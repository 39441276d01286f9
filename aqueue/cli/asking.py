"""The verbs that look at runs, queues and servers."""

import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import click

from aqueue import presence
from aqueue.cards import HeldCard, spell_size
from aqueue.cli import render, tabulating
from aqueue.cli.access import (
    complete_queue,
    complete_run,
    config_or_default,
    directory_option,
    find_folder,
    group_option,
    living_servers,
    now,
    present,
    reading,
    resolve_all,
)
from aqueue.cli.output import put_by, say
from aqueue.cli.types import COUNT, F
from aqueue.cli.waiting import Waits, limits_of, waits
from aqueue.durations import spell
from aqueue.folder import Folder
from aqueue.models import Run, Server, State, StoredSchedule
from aqueue.placement import described
from aqueue.store import Store
from aqueue.values import Value, plain_text
from aqueue.visible import visible

_ROWS = 50
_OLD_LOOK = 60.0
_NAMED = 5


def _state_options(command: F) -> F:
    for state in reversed(State):
        option = click.option(
            f"--{state}", "states", flag_value=str(state), multiple=True, help=f"Only {state} ones."
        )
        command = option(command)
    return command


@click.command("ls")
@directory_option
@_state_options
@click.option("--queue", shell_complete=complete_queue, help="Only those of this queue.")
@click.option("--tag", help="Only those with this tag: key=value, or key for any value of it.")
@group_option
@click.option(
    "--limit",
    type=COUNT,
    help=f"At most so many, the newest or, sorted, the first; default {_ROWS}.",
)
@click.option("--metrics", "measured", is_flag=True, help="Show params and metrics, oldest first; of a group all.")
@click.option("--sort", "key", metavar="[-]KEY", help="By a column, a param or a metric; -KEY: the largest first.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: all, oldest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: all, oldest first.")
def list_(
    directory: str | None,
    states: tuple[str, ...],
    queue: str | None,
    tag: str | None,
    group: str | None,
    limit: int | None,
    measured: bool,
    key: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List runs, newest first."""
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    folder = find_folder(directory)
    wanted = [State(state) for state in states]
    is_for_people = not as_csv and not as_json
    if limit is None and is_for_people and not (measured and group is not None):
        limit = _ROWS
    chosen = _Chosen(states=wanted, queue=queue, tag=tag, group=group)
    if as_json:
        _print_as_json(folder, chosen, key, limit)
        return
    with reading(folder) as store:
        moment = present(store)
        ids = _ids(store, chosen, key, limit)
        if measured:
            columns = tabulating.columns_of(store.each(sorted(ids)), moment)
        elif as_csv:
            known = Waits(store, folder)
            rows = [
                row for runs in store.in_slices(ids) for row in tabulating.facts_of(runs, known.of(runs), moment)
            ]
        else:
            few = list(store.each(ids[::-1] if key is None else ids))
            why = waits(store, folder, few)
        total = store.count(**chosen)
    if measured:
        tabulating.print_measured(ids, columns, as_csv=as_csv)
    elif as_csv:
        tabulating.print_facts(rows)
    else:
        _print_runs(few, why, moment)
    if total > len(ids) and is_for_people:
        say(f"{total - len(ids)} more; --limit shows them", err=True)


class _Chosen(TypedDict):
    """What `ls` is asked about."""

    states: Sequence[State]
    queue: str | None
    tag: str | None
    group: str | None


def _ids(store: Store, chosen: _Chosen, key: str | None, limit: int | None) -> list[int]:
    """Return the ids of the runs that are meant: the newest, oldest first; or in the order of a column.

    Raises:
        RunError: there is no such group, or no such column.
    """
    ids = store.ids(**chosen)
    if chosen["group"] is not None and not ids:
        resolve_all(store, (), chosen["group"])
    if key is None:
        return ids[-limit if limit else None :]
    return tabulating.in_order(ids, tabulating.columns_of(store.each(ids), present(store)), key)[:limit]


def _print_as_json(folder: Folder, chosen: _Chosen, key: str | None, limit: int | None) -> None:
    """Print the runs as JSON, however many there are."""
    with put_by() as put, reading(folder) as store:
        ids = _ids(store, chosen, key, limit)
        known = Waits(store, folder)
        slices = (
            [render.run_as_json(run, why, folder) for run, why in zip(runs, known.of(runs), strict=True)]
            for runs in store.in_slices(ids)
        )
        for piece in render.json_of_slices(slices):
            put(piece)


def _print_runs(runs: Sequence[Run], why: Sequence[str | None], moment: float) -> None:
    from rich.markup import escape

    table = render.new_table("id", "name", "queue", "state", "took", "why…")
    for run, wait in zip(runs, why, strict=True):
        text = escape(visible(wait or run.reason or ""))
        table.add_row(
            str(run.id), run.name, run.queue, render.state_text(run.state), render.took(run, moment), text
        )
    render.print_table(table)


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(directory: str | None, as_json: bool) -> None:
    """Show servers, queues, GPUs and schedules."""
    from aqueue.cli.gpus import known_as_json, one_line

    folder = find_folder(directory)
    config = config_or_default(folder, warn=True)
    with reading(folder) as store:
        moment = present(store)
        servers = living_servers(store, folder)
        queues = store.queues()
        paused = store.paused()
        schedules = store.schedules()
        gpus, seen_at = known_as_json(store, config)
        schedules_as_json: list[dict[str, Any]] = []
        if as_json and schedules:
            # Imported here: what cron means takes a while to import.
            from aqueue.cli.planning import all_as_json

            schedules_as_json = all_as_json(store)
    counts: dict[str, Counter[State]] = {name: Counter() for name in (*config.queues, *paused)}
    counts.update(queues)
    limits = limits_of(config)
    table_rows = [
        {
            "name": name,
            "max_concurrency": limits.slots(name),
            "running": counts[name][State.RUNNING],
            "queued": counts[name][State.QUEUED],
            "held": counts[name][State.HELD],
            "paused": name in paused or (name in config.queues and config.queues[name].paused),
            "configured": name in config.queues,
        }
        for name in sorted(counts, key=lambda name: (name not in config.queues, name))
    ]
    if as_json:
        render.print_json(
            {
                "servers": [
                    {
                        "id": server.id,
                        "pid": server.pid,
                        "jobs": server.most_jobs,
                        "started_at": render.iso(server.started_at),
                        "heartbeat_at": render.iso(server.heartbeat_at),
                        "queues": server.queues,
                        "gpus": server.owns[0] if server.owns else None,
                        "leaving": server.leaving,
                        "disabled_by": server.disabled_by,
                        "hindered_by": presence.told_by(folder.servers, server.id) or None,
                        "log": server.log,
                    }
                    for server in servers
                ],
                "queues": table_rows,
                "gpus": gpus,
                "schedules": schedules_as_json,
            }
        )
        return
    for server in servers:
        say(_described(server, config.stale_after, moment, presence.told_by(folder.servers, server.id)))
    if not servers:
        say("no server is up; `aqueue serve` starts one")
    if config.disabled_by and not servers:
        say(f"queues are disabled ({config.disabled_by}): nothing is started")
    if schedules:
        say(_next_schedule(schedules))
    for card in gpus:
        say(one_line(card))
    if gpus and (age := now() - seen_at) > _OLD_LOOK:
        say(f"  seen {spell(age)} ago; `aqueue gpus` looks at them now")
    if not table_rows:
        say("nothing is queued, running or held")
        return
    table = render.new_table("queue", "running", "queued", "held", "slots")
    shown_rows = _together(table_rows)
    for queue in shown_rows[:_ROWS]:
        notes = [] if queue["configured"] else ["not configured"]
        notes += ["paused"] if queue["paused"] else []
        slots = str(queue["max_concurrency"]) + (f" ({', '.join(notes)})" if notes else "")
        table.add_row(*(str(queue[key]) for key in ("name", "running", "queued", "held")), slots)
    render.print_table(table)
    if len(shown_rows) > _ROWS:
        say(f"{len(shown_rows) - _ROWS} more queues; --json shows them", err=True)


@click.command()
@directory_option
@click.argument("run", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(directory: str | None, run: str, as_json: bool) -> None:
    """Show one run."""
    folder = find_folder(directory)
    with reading(folder) as store:
        found = store.resolve(run)
        attempts = store.attempts(found)
        after = store.prerequisites(found)
        (wait,) = waits(store, folder, [found])
    if as_json:
        render.print_json(render.run_in_full_as_json(found, wait, attempts, after, folder))
        return
    command = found.task.command
    facts = {
        "run": f"{found.id}  {found.name}:{found.run_id}",
        "state": f"{found.state}{f', {found.reason}' if found.reason else ''}",
        "waits for": wait,
        "after": _named(after),
        "group": found.task.group,
        "queue": f"{found.queue}, priority {found.priority.word}",
        "command": command if isinstance(command, str) else shlex.join(command),
        "params": _pairs(found.task.params),
        "positional": shlex.join(found.task.arguments),
        "working dir": found.task.working_dir,
        "code": _code(found),
        "tags": ", ".join(found.task.tags),
        "trigger": str(found.trigger),
        "due": render.local(found.scheduled_for),
        "asks for": described(found.task.demand) if found.task.demand else "",
        "gpus": _labels(found.cards),
        "pid": render.pid(found, folder),
        "created": render.local(found.created_at),
        "started": render.local(found.started_at),
        "finished": render.local(found.finished_at),
        "log": render.log(found, folder),
        "log limit": spell_size(found.task.log_limit) if found.task.log_limit else "",
        "metrics": _pairs(found.metrics),
    }
    for label, value in facts.items():
        if value:
            text = str(value).rstrip("\n").replace("\n", "\n" + " " * 13)
            say(text, head=click.style(f"{label:<12} ", bold=True))
    for attempt in attempts if len(attempts) > 1 else ():
        end = "goes on" if attempt.finished_at is None else spell(attempt.finished_at - attempt.started_at)
        why = attempt.reason or ("" if attempt.finished_at is None else "succeeded")
        where = f"  on GPU {_labels(attempt.cards)}" if attempt.cards else ""
        say(f" {end}{where}  {why}", head=click.style(f"attempt {attempt.number:<4}", bold=True))
    for attempt in attempts:
        if path := render.checkout(found, attempt.number, folder):
            say(path, head=click.style("checkout     ", bold=True))


def _together(queues: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The queues, those of the runs of a sweep in one row: each of them has one to itself."""
    rows: dict[str, dict[str, Any]] = {}
    numbers: Counter[str] = Counter()
    for queue in queues:
        stem, _, number = queue["name"].rpartition("-")
        if queue["configured"] or queue["paused"] or not stem or not number.isdigit():
            rows[queue["name"]] = queue
            continue
        name = f"{stem}-*"
        numbers[name] += 1
        before = rows.get(name, queue)
        counts = {key: before[key] + queue[key] for key in ("running", "queued", "held", "max_concurrency")}
        rows[name] = queue if name not in rows else queue | counts | {"name": f"{name} ({numbers[name]} queues)"}
    return list(rows.values())


def _described(server: Server, stale_after: float, moment: float, hindrance: str) -> str:
    parts = [f"up for {spell(max(moment - server.started_at, 0))}", f"{server.most_jobs} at a time"]
    if server.queues is not None:
        parts.append(f"only {', '.join(server.queues)}")
    for ids in server.owns:
        parts.append(f"only GPU {', '.join(map(str, ids)) or 'none'}")
    if server.disabled_by is not None:
        parts.append(f"starts nothing but schedules: queues are disabled ({server.disabled_by})")
    if hindrance:
        parts.append(f"starts nothing: {hindrance}")
    if server.leaving is not None:
        parts.append("leaving")
    if (silent := moment - server.heartbeat_at) > stale_after:
        parts.append(f"but no sign of life for {spell(silent)}")
    log = f"\n  its log: {os.path.relpath(server.log)}" if server.log else ""
    return f"server {server.pid}: {', '.join(parts)}{log}"


def _named(runs: Sequence[Run]) -> str:
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return ", ".join(f"{run.id} {run.name} ({run.state})" for run in runs[:_NAMED]) + more


def _pairs(values: Mapping[str, Value]) -> str:
    """Return params or metrics as a command sees or says them."""
    return ", ".join(f"{name}={plain_text(value)}" for name, value in values.items())


def _code(run: Run) -> str:
    snapshot = run.task.snapshot
    return f"{snapshot.commit[:12]} of {snapshot.repository}" if snapshot else ""


def _labels(cards: Sequence[HeldCard]) -> str:
    return ", ".join(card.label for card in cards)


def _next_schedule(schedules: Sequence[StoredSchedule]) -> str:
    parts = [f"{len(schedules)} schedule{'' if len(schedules) == 1 else 's'}"]
    due = [one for one in schedules if one.next_due is not None]
    if due:
        from aqueue.cli.planning import at_home

        first = min(due, key=lambda one: (one.next_due or 0.0, one.name))
        moment = first.next_due or 0.0
        is_due = moment <= now()
        parts.append(
            f"{first.name} is due" if is_due else f"next {first.name} at {at_home(first.schedule, moment)}"
        )
    if paused := sum(one.paused for one in schedules):
        parts.append(f"{paused} paused")
    if files := {one.file for one in schedules if one.error is not None}:
        parts.append(f"{len(files)} with an error in the file, which `aqueue schedules` shows")
    return ", ".join(parts)
