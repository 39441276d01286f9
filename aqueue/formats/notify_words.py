"""Words for whom to tell of what: in task files, on the command line and in programs."""

from collections.abc import Collection, Iterable
from typing import Final

from aqueue.errors import UsageError
from aqueue.model.basics import is_name
from aqueue.model.notification import EVENTS, Event, Notify
from aqueue.near_names import nearest

NOTIFY: Final = "never, a list of events and targets such as [failed, phone], or {on: [failed], to: [phone]}"
"""The value that the key of a task expects, in words."""

NEVER: Final = "never"
"""The word for nobody."""


def parse(words: Iterable[str]) -> Notify:
    """Return whom words tell: events, names of targets, or `never`.

    Raises:
        UsageError: `never` is among other words, or there is none.

    >>> parse(["failed", "phone"]), parse(["never"])
    (Notify(on=(<Event.FAILED: 'failed'>,), to=('phone',)), Notify(on=(), to=None))
    """
    listed = tuple(dict.fromkeys(words))
    if listed == (NEVER,):
        return Notify(on=())
    if NEVER in listed or not all(listed):
        raise UsageError(f"notify: expected {NOTIFY}", "write `never` alone to have nobody told")
    events = tuple(Event(word) for word in listed if word in EVENTS)
    names = tuple(word for word in listed if word not in EVENTS)
    # Without a word, a list says that nobody is told, as `never` does.
    return Notify(on=events or (None if names else ()), to=names or None)


def check_names(wish: Notify, known: Collection[str] | None) -> Notify:
    """Check that the targets exist.

    Args:
        known: their names; None if they are not known.

    Raises:
        UsageError: one does not exist.
    """
    if known is None or wish.on == ():
        return wish
    if not known:
        raise UsageError(
            "notify: aqueue.yaml has no targets", "add one: notify: [{name: phone, ntfy: 'https://…'}]"
        )
    for name in wish.to or ():
        if name not in known:
            near = nearest(name, [*known, *EVENTS])
            hint = f"did you mean {near}?" if near else f"targets in aqueue.yaml: {', '.join(known)}"
            shown = f" named {name}" if is_name(name) else " of that name"
            raise UsageError(f"notify: there is no target{shown}", hint)
    return wish
