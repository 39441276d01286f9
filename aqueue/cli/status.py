"""The verb that shows how things are: servers, queues, GPUs and schedules."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from aqueue.cli import tables
from aqueue.cli import untaken as untaken_files
from aqueue.cli.context import find_folder
from aqueue.cli.messages import say_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.cli.runs import _ROWS
from aqueue.client import views
from aqueue.client.session import config_or_default, living_servers, now, present, reading
from aqueue.client.untaken import untaken
from aqueue.client.wait_reasons import limits_of
from aqueue.folder import rejected, server_locks
from aqueue.model.run import State
from aqueue.model.schedule import StoredSchedule
from aqueue.model.server import Server
from aqueue.units import spell

_OLD_LOOK = 60.0


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(directory: str | None, as_json: bool) -> None:
    """Show servers, queues, GPUs and schedules."""
    from aqueue.cli.gpus import known_as_json, one_line

    folder = find_folder(directory)
    config = config_or_default(folder, say_warning)
    with reading(folder) as store:
        moment = present(store)
        servers = living_servers(store, folder)
        queues = store.queues.counts()
        paused = store.queues.paused()
        schedules = store.schedules.all()
        gpus, seen_at = known_as_json(store, config)
        left = untaken(store, folder, config)
        schedules_as_json: list[dict[str, Any]] = []
        if as_json and schedules:
            # Imported here: what cron means takes a while to import.
            from aqueue.cli.schedules import all_as_json

            schedules_as_json = all_as_json(store)
    bad, newest = rejected.newest(folder)
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
        tables.print_json(
            {
                "servers": [
                    {
                        "id": server.id,
                        "pid": server.pid,
                        "jobs": server.most_jobs,
                        "started_at": views.iso(server.started_at),
                        "heartbeat_at": views.iso(server.heartbeat_at),
                        "queues": server.queues,
                        "gpus": server.owns[0] if server.owns else None,
                        "leaving": server.leaving,
                        "disabled_by": server.disabled_by,
                        "hindered_by": server_locks.told_by(folder.servers, server.id) or None,
                        "log": server.log,
                    }
                    for server in servers
                ],
                "queues": table_rows,
                "gpus": gpus,
                "schedules": schedules_as_json,
                "not_taken": [{"file": one.file, "reason": one.reason} for one in left],
                "rejected": {
                    "count": bad,
                    "newest": newest and {"file": newest.file, "reason": newest.reason},
                },
            }
        )
        return
    for server in servers:
        say(_described(server, config.stale_after, moment, server_locks.told_by(folder.servers, server.id)))
    if not servers:
        say("no server is up; `aqueue serve` starts one")
    if config.disabled_by and not servers:
        say(f"queues are disabled ({config.disabled_by}): nothing is started")
    for line in untaken_files.in_full(folder, left, bad, newest):
        say(line)
    if schedules:
        say(_next_schedule(schedules))
    for card in gpus:
        say(one_line(card))
    if gpus and (age := now() - seen_at) > _OLD_LOOK:
        say(f"  seen {spell(age)} ago; `aqueue gpus` looks at them now")
    if not table_rows:
        say("nothing is queued, running or held")
        return
    table = tables.new_table("queue", "running", "queued", "held", "slots")
    shown_rows = _together(table_rows)
    for queue in shown_rows[:_ROWS]:
        notes = [] if queue["configured"] else ["not configured"]
        notes += ["paused"] if queue["paused"] else []
        slots = str(queue["max_concurrency"]) + (f" ({', '.join(notes)})" if notes else "")
        table.add_row(*(str(queue[key]) for key in ("name", "running", "queued", "held")), slots)
    tables.print_table(table)
    if len(shown_rows) > _ROWS:
        say(f"{len(shown_rows) - _ROWS} more queues; --json shows them", err=True)


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


def _next_schedule(schedules: Sequence[StoredSchedule]) -> str:
    parts = [f"{len(schedules)} schedule{'' if len(schedules) == 1 else 's'}"]
    due = [one for one in schedules if one.next_due is not None]
    if due:
        from aqueue.cli.schedules import at_home

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
