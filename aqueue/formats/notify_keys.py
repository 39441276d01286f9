"""The key `notify`: the targets in `aqueue.yaml`, and in a task whom to tell of what.

A target's texts may be secret, so no error shows them.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from aqueue.errors import UsageError
from aqueue.formats import written_types as types
from aqueue.formats.notify_words import NEVER, check_names, parse
from aqueue.formats.yaml_document import Document, Path
from aqueue.model.basics import is_name
from aqueue.model.notification import EVENTS, Event, Kind, Notify, Target
from aqueue.model.values import Value, plain_text

_EVENTS: Final = "failed, succeeded, recovered or group"
_NAMES: Final = "a name or a list of names of targets in aqueue.yaml"
_Event = Literal["failed", "succeeded", "recovered", "group"]
_Events = _Event | list[_Event] | None
_Url = Annotated[Value, types.matching(r"https?://[^/\s][\s\S]*|\$\{[\s\S]*")]
_MailUrl = Annotated[Value, types.matching(r"smtps?://[^/\s][\s\S]*|\$\{[\s\S]*")]
_TEXT: Final = "text, perhaps with ${NAME} or ${file:PATH} in it"
_URL: Final = "a URL, perhaps with ${NAME} or ${file:PATH} in it"

TARGETS: Final = "a list such as - {name: phone, ntfy: 'https://ntfy.sh/…', on: [failed]}"
"""The value that the key of the configuration expects, in words."""

_SCHEMES: Final = {
    Kind.NTFY: ("http", "https"),
    Kind.WEBHOOK: ("http", "https"),
    Kind.HEALTHCHECK: ("http", "https"),
    Kind.SMTP: ("smtp", "smtps"),
}
_OPTIONS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.NTFY: ("token",),
    Kind.WEBHOOK: ("secret", "token"),
    Kind.SMTP: ("to", "sender", "user", "password"),
}
_NEEDED: Final[Mapping[Kind, str]] = {Kind.SMTP: "to"}

STAND_INS: Final = {
    **{str(kind): f"{schemes[0]}://x" for kind, schemes in _SCHEMES.items()},
    Kind.COMMAND: "x",
    Kind.DESKTOP: "true",
    Kind.APPRISE: "x",
    "to": "x",
}
"""Values in place of wrong ones, so that these cause no further errors."""


class WrittenNotify(msgspec.Struct, forbid_unknown_fields=True):
    """The key of a task as a mapping."""

    on: Annotated[_Events, _EVENTS, "Of what."] = None
    to: Annotated[types.Texts, _NAMES, "Who; default: all."] = None


class WrittenTarget(msgspec.Struct, forbid_unknown_fields=True):
    """A target as it is written."""

    name: Annotated[types.Name, "1 to 64 letters, digits, '_', '.' or '-'", "By which tasks and commands name it."]
    on: Annotated[_Events, _EVENTS, "What it is told of all runs; default: only what their tasks ask for."] = None
    ntfy: Annotated[_Url, _URL, "A topic of ntfy."] = None
    command: Annotated[
        types.Command | None,
        "a shell command, or a list of a program and its arguments",
        "Run with the facts as JSON in standard input, and in AQUEUE_NOTIFY_… variables.",
    ] = None
    smtp: Annotated[_MailUrl, "a URL such as smtp://HOST:587 or smtps://HOST", "A mail server."] = None
    webhook: Annotated[_Url, _URL, "Gets the facts as JSON."] = None
    desktop: Annotated[bool | None, "true", "Shown by notify-send."] = None
    healthcheck: Annotated[_Url, _URL, "Gets /start at the start, and /EXITCODE at the end."] = None
    apprise: Annotated[types.Text, "a URL of Apprise", "Any service of Apprise, if that is installed."] = None
    token: Annotated[types.Text, _TEXT, "Sent to ntfy or a webhook as a bearer token."] = None
    secret: Annotated[types.Text, _TEXT, "Signs what a webhook gets, by HMAC-SHA256."] = None
    to: Annotated[types.Texts, "an address or a list of addresses", "Who gets a mail."] = None
    sender: Annotated[types.Text, "an address", "Default: the first address of `to`."] = None
    user: Annotated[types.Text, _TEXT, "At the mail server."] = None
    password: Annotated[types.Text, _TEXT, "At the mail server."] = None


def targets(document: Document, written: Iterable[WrittenTarget]) -> tuple[Target, ...]:
    """Return the targets of a configuration.

    Raises:
        FileError: at the first error.
    """
    found: dict[str, Target] = {}
    for index, one in enumerate(written):
        at: Path = ("notify", index)
        name = plain_text(one.name)
        if not is_name(name) or name in (*EVENTS, NEVER):
            hint = f"use 1 to 64 letters, digits, '_', '.' or '-', but not {', '.join(EVENTS)} or {NEVER}"
            raise document.error("notify.name: this cannot be the name of a target", hint, at=(*at, "name"))
        if name in found:
            raise document.error(
                f"notify: target {name} is configured twice", "keep one of them", at=(*at, "name")
            )
        found[name] = _target(document, at, name, one)
    return tuple(found.values())


def notify(document: Document, written: Any, known: Collection[str] | None) -> Notify | None:
    """Return whom to tell of a task's runs.

    Args:
        written: the key of a task.
        known: the names of the targets; None if they are not known.

    Raises:
        FileError: at the first error.
    """
    if written is None:
        return None
    try:
        if isinstance(written, WrittenNotify):
            names = None if written.to is None else tuple(dict.fromkeys(_texts(written.to)))
            return check_names(Notify(_on(written.on), names), known)
        return check_names(parse(_texts(written)), known)
    except UsageError as error:
        raise document.error(error.message, error.hint, at=("notify",)) from None


def _target(document: Document, at: Path, name: str, written: WrittenTarget) -> Target:
    given = [kind for kind in Kind if getattr(written, kind) is not None]
    if len(given) != 1:
        one_of = f"give it one of {', '.join(Kind)}"
        what = f"has both {given[0]} and {given[1]}" if given else "says nothing about how to reach it"
        raise document.error(f"notify: target {name} {what}", one_of, at=at)
    (kind,) = given
    allowed = _OPTIONS.get(kind, ())
    for key in ("token", "secret", "to", "sender", "user", "password"):
        if getattr(written, key) is not None and key not in allowed:
            hint = f"leave it out; {kind} takes {', '.join(allowed) or 'no options'}"
            raise document.error(f"notify: {key} is no option of {kind}", hint, at=(*at, key), key=True)
    if (needed := _NEEDED.get(kind)) and getattr(written, needed) is None:
        raise document.error(f"notify: target {name} lacks {needed!r}", f"add: {needed}: …", at=at)
    return Target(
        name=name,
        kind=kind,
        address=_address(document, (*at, str(kind)), kind, getattr(written, kind)),
        on=_on(written.on),
        options={
            key: plain_text(value)
            for key in allowed
            if key != "to" and (value := getattr(written, key)) is not None
        },
        recipients=tuple(_texts(written.to)) if written.to is not None else (),
    )


def _address(document: Document, at: Path, kind: Kind, written: Any) -> str | tuple[str, ...]:
    if kind is Kind.DESKTOP:
        if written is not True:
            raise document.error("notify.desktop: expected true", "leave the target out to have none", at=at)
        return ""
    words = _texts(written)
    if not words or not words[0].strip() or any("\0" in word for word in words):
        raise document.error(f"notify.{kind}: it is empty, or has a NUL character in it", at=at)
    if kind is Kind.COMMAND and isinstance(written, list):
        return tuple(words)
    schemes = _SCHEMES.get(kind, ())
    if schemes and not re.match(rf"(?:{'|'.join(schemes)})://[^/\s]|\$\{{", words[0]):
        raise document.error(f"notify.{kind}: expected a URL that begins with {schemes[-1]}://", at=at)
    return words[0]


def _on(written: _Events) -> tuple[Event, ...] | None:
    if written is None:
        return None
    return tuple(dict.fromkeys(map(Event, written if isinstance(written, list) else [written])))


def _texts(written: Value | list[Value]) -> list[str]:
    return [plain_text(one) for one in (written if isinstance(written, list) else [written])]
