"""Notifications: who is told of what, and the message itself."""

from enum import StrEnum
from typing import Final

import msgspec


class Event(StrEnum):
    """The occasion of a message."""

    STARTED = "started"
    """A run was started; only health checks are told."""
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    RECOVERED = "recovered"
    """It succeeded after it had failed the last time."""
    GROUP = "group"
    """Nothing of a group, such as a sweep, is queued or running any more."""
    BUNDLE = "bundle"
    """Several messages were put together, because there were too many."""
    TEST = "test"


EVENTS: Final = (Event.FAILED, Event.SUCCEEDED, Event.RECOVERED, Event.GROUP)
"""The events that `on` may name."""


class Kind(StrEnum):
    """The way in which a target is reached; also the key of its address."""

    NTFY = "ntfy"
    COMMAND = "command"
    SMTP = "smtp"
    WEBHOOK = "webhook"
    DESKTOP = "desktop"
    HEALTHCHECK = "healthcheck"
    APPRISE = "apprise"


class Notify(msgspec.Struct, frozen=True, omit_defaults=True):
    """The key `notify` of a task.

    Attributes:
        on: the events to tell of, none at all if empty; None: as the targets are configured, else every end.
        to: the names of the targets to tell; None: all.
    """

    on: tuple[Event, ...] | None = None
    to: tuple[str, ...] | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A configured target of messages.

    Texts are as written: a `${NAME}` in them is replaced only when a message is sent.

    Attributes:
        address: the URL, the shell command, or the words of a command; empty for the desktop.
        on: the events of all runs that it is told of; None: only what a task asks for.
        options: further settings, such as `token`.
        recipients: the addresses that get a mail.
    """

    name: str
    kind: Kind
    address: str | tuple[str, ...] = ""
    on: tuple[Event, ...] | None = None
    options: dict[str, str] = {}
    recipients: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return its name and kind: the rest may be secret."""
        return f"<Target {self.name}: {self.kind}>"


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message, as stored and as sent.

    Attributes:
        id: the id of the event, the same for every target and every try.
        at: when it happened, in seconds since the epoch.
        name: the name of the run or the group; empty for others.
        state: the state of the run; of a group, `failed` if one of its runs failed.
        run: the id of the run; None for a group.
        attempts: the number of attempts of the run.
        seconds: how long the last attempt took, or the group from its first start to its last end.
        counts: for a group, the number of its runs by state.
        best: for a group, the best value of a metric, in words.
        details: for a group, why some of its runs failed.
        messages: those that a bundle holds.
    """

    id: str
    event: Event
    at: float
    name: str = ""
    state: str = ""
    run: int | None = None
    run_id: str | None = None
    queue: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    attempts: int = 0
    seconds: float | None = None
    counts: dict[str, int] = {}
    best: str | None = None
    details: tuple[str, ...] = ()
    messages: tuple["Message", ...] = ()
