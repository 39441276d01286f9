"""A message in words, and as JSON."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from aqueue.model.notification import Event, Message
from aqueue.units import counted, spell

_WORDS: Final = {"succeeded": "ok", "failed": "failed", "aborted": "aborted"}
_MAX_TITLES: Final = 20


def title(message: Message) -> str:
    """Return what has happened, in one line.

    >>> title(Message(id="1", event=Event.FAILED, at=0.0, name="train", state="failed"))
    'train failed'
    """
    match message.event:
        case Event.TEST:
            return "aqueue: a test"
        case Event.GROUP:
            return f"{message.name}: {', '.join(_facts_of_group(message))}"
        case Event.BUNDLE:
            failed = sum(one.state == "failed" for one in message.messages)
            return f"aqueue: {counted(len(message.messages), 'message')}, {failed} of failures"
        case _:
            return f"{message.name} {message.event}"


def text(message: Message, host: str) -> str:
    """Return the details, in a few lines.

    Args:
        host: the name of this machine.
    """
    if message.event is Event.TEST:
        lines = ["Messages reach this target."]
    elif message.event is Event.BUNDLE:
        lines = [title(one) for one in message.messages[:_MAX_TITLES]]
        if (left := len(message.messages) - len(lines)) > 0:
            lines.append(f"and {left} more")
    elif message.event is Event.GROUP:
        lines = list(message.details)
        if (left := message.counts.get("failed", 0) - len(lines)) > 0:
            lines.append(f"and {left} more failed")
    else:
        lines = [message.reason or "", ", ".join(_facts_of_run(message))]
    return "\n".join(filter(None, [*lines, f"on {host}"]))


def as_json(message: Message, host: str, folder: str) -> dict[str, Any]:
    """Return all facts about a message; those that it lacks are null.

    Args:
        host: the name of this machine.
        folder: the path of the folder.
    """
    return {
        "id": message.id,
        "event": str(message.event),
        "time": datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "title": title(message),
        "text": text(message, host),
        "name": message.name or None,
        "state": message.state or None,
        "run": message.run,
        "run_id": message.run_id,
        "queue": message.queue,
        "reason": message.reason,
        "exit_code": message.exit_code,
        "attempts": message.attempts or None,
        "seconds": None if message.seconds is None else round(message.seconds, 3),
        "counts": message.counts or None,
        "best": message.best,
        "host": host,
        "folder": folder,
        "messages": [as_json(one, host, folder) for one in message.messages] or None,
    }


def _facts_of_group(message: Message) -> Iterator[str]:
    for state, word in _WORDS.items():
        if count := message.counts.get(state):
            yield f"{count} {word}"
    if message.best:
        yield f"best {message.best}"
    if message.seconds is not None:
        yield spell(message.seconds)


def _facts_of_run(message: Message) -> Iterator[str]:
    if message.run is not None:
        yield f"run {message.run}"
    if message.seconds is not None:
        yield spell(message.seconds)
    if message.attempts > 1:
        yield counted(message.attempts, "attempt")
