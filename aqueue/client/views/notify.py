"""The targets of notifications as JSON."""

from collections.abc import Sequence
from typing import Any

from aqueue.client.views.times import iso
from aqueue.model.notification import Target
from aqueue.notify.texts import title
from aqueue.store.outbox import Undelivered


def targets_as_json(targets: Sequence[Target], undelivered: Sequence[Undelivered]) -> dict[str, Any]:
    """Return what `notify ls --json` prints; addresses and options are left out, as they may be secret."""
    return {
        "targets": [
            {
                "name": target.name,
                "kind": str(target.kind),
                "on": None if target.on is None else [*map(str, target.on)],
            }
            for target in targets
        ],
        "not_sent": [
            {
                "target": one.target,
                "id": one.message.id,
                "event": str(one.message.event),
                "title": title(one.message),
                "created_at": iso(one.message.at),
                "next_try_at": iso(one.due_at),
                "tries": one.tries,
                "error": one.error,
            }
            for one in undelivered
        ],
    }
