"""Decisions about notifications: who is told of what, and when several are told together. Pure."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from aqueue.model.notification import Event, Kind, Notify, Target
from aqueue.model.run import State

MAX_TRIES: Final = 5
"""The number of times that a message is tried."""

MAX_PER_HOUR: Final = 20
"""The number of messages to a target within an hour after which they are bundled."""

MAX_BUNDLE: Final = 50
"""The largest number of messages in a bundle."""

HOUR: Final = 3600.0

_FIRST_DELAY = 30.0
_BACKOFF = 4.0
_BUNDLE_SECONDS = 600.0
_ENDS = frozenset({Event.FAILED, Event.SUCCEEDED, Event.GROUP})
_HEALTH = frozenset({Event.STARTED, Event.FAILED, Event.SUCCEEDED, Event.GROUP})


class Pending(NamedTuple):
    """A stored message that is still to be sent.

    Attributes:
        due_at: when it is due; while somebody is sending it, when that counts as failed.
        tries: the number of tries so far.
        in_flight: True if somebody is sending it.
    """

    id: int
    due_at: float
    tries: int
    in_flight: bool


class Step(NamedTuple):
    """The next step for a target.

    Attributes:
        send: the ids of the messages to send now, as one if there are several.
        next_at: when to decide again if nothing comes before; None: nothing is left.
    """

    send: Sequence[int]
    next_at: float | None


def wanted(target: Target, notify: Notify | None) -> Collection[Event]:
    """Return the events of a task's runs that a target is told of."""
    if notify is None:
        events = frozenset(target.on or ())
    elif notify.to is not None and target.name not in notify.to:
        return ()
    elif notify.on is not None:
        events = frozenset(notify.on)
    else:
        events = _ENDS if target.on is None else frozenset(target.on)
    # A health check without its ends would raise an alarm.
    return _HEALTH if events and target.kind is Kind.HEALTHCHECK else events


def event_of_run(state: State, events: Collection[Event], *, was_failing: bool) -> Event | None:
    """Return the event of a run's end, among those that a target is told of; None if it is told nothing.

    Args:
        was_failing: whether the last run of that name failed.
    """
    if state is State.FAILED and Event.FAILED in events:
        return Event.FAILED
    if state is not State.SUCCEEDED:
        return None
    if was_failing and Event.RECOVERED in events:
        return Event.RECOVERED
    return Event.SUCCEEDED if Event.SUCCEEDED in events else None


def tells_of_group(state: State, events: Collection[Event], *, was_failing: bool) -> bool:
    """Return True if a target is told of the end of a group."""
    return Event.GROUP in events or event_of_run(state, events, was_failing=was_failing) is not None


def next_step(pending: Sequence[Pending], sent_at: Collection[float], now: float, *, is_limited: bool) -> Step:
    """Decide what to send to a target now. It gets one message at a time, in order.

    Args:
        pending: in order.
        sent_at: when messages were sent to it within the last hour.
        is_limited: whether too many messages are bundled.
    """
    if busy := [one.due_at for one in pending if one.in_flight and one.due_at > now]:
        return Step((), min(busy))
    due = [one for one in pending if one.due_at <= now]
    if not due:
        return Step((), min((one.due_at for one in pending), default=None))
    recent = [at for at in sent_at if now - HOUR < at <= now]
    if not is_limited or due[0].tries or len(recent) < MAX_PER_HOUR:
        return Step([due[0].id], now)
    if now < (at := max(recent) + _BUNDLE_SECONDS):
        return Step((), at)
    return Step([one.id for one in due if not one.tries][:MAX_BUNDLE], now)


def seconds_before_try(tries: int) -> float | None:
    """Return the delay before the next try after so many; None if there is none: 30 s, 2 min, 8 min, 32 min."""
    return None if tries >= MAX_TRIES else _FIRST_DELAY * _BACKOFF ** (tries - 1)
