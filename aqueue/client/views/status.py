"""The status of a folder as JSON."""

from typing import Any

from aqueue.client.forecasts import GroupProgress
from aqueue.client.status import Status
from aqueue.client.views.gpus import gpu_as_json
from aqueue.client.views.times import iso
from aqueue.model.run import ENDED, State
from aqueue.model.server import Server


def status_as_json(status: Status) -> dict[str, Any]:
    """Return what `status --json` prints."""
    # Imported here: cron expressions take a while to import.
    from aqueue.client.views.schedules import schedules_as_json

    count, newest = status.rejected
    return {
        "servers": [_server(server, hindrance) for server, hindrance in status.servers],
        "queues": [queue._asdict() for queue in status.queues],
        "groups": [*map(_group, status.groups)],
        "gpus": [*map(gpu_as_json, status.gpus)],
        "schedules": schedules_as_json(status.schedules),
        "not_taken": [{"file": one.file, "reason": one.reason} for one in status.not_taken],
        "rejected": {"count": count, "newest": newest and {"file": newest.file, "reason": newest.reason}},
        "since_midnight": {str(state): status.ended_today.get(state, 0) for state in State if state in ENDED},
    }


def _group(group: GroupProgress) -> dict[str, Any]:
    counts = {str(state): group.states[state] for state in State}
    return {"name": group.name, "total": group.states.total(), **counts, "seconds_left": group.left}


def _server(server: Server, hindrance: str) -> dict[str, Any]:
    return {
        "id": server.id,
        "pid": server.pid,
        "jobs": server.max_jobs,
        "started_at": iso(server.started_at),
        "heartbeat_at": iso(server.heartbeat_at),
        "queues": server.queues,
        "gpus": server.owns[0] if server.owns else None,
        "leaving": server.leaving,
        "disabled_by": server.disabled_by,
        "hindered_by": hindrance or None,
        "log": server.log,
    }
