"""Words and numbers about runs and servers, for modules that must not import the records. Pure."""

from collections.abc import Iterable

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

HIGH: "Final" = 0
"""The number of the priority that goes first."""

LOW: "Final" = 1
"""The number of the priority that a run has if nobody says otherwise."""

MANUAL: "Final" = "manual"
"""The trigger of a run that somebody asked for."""

NO_SERVER: "Final" = "no server is running"
"""The reason why nothing queued starts."""

STALE_AFTER: "Final" = 30.0
"""The seconds without a sign of life after which a server is said to give none, unless configured."""

MAX_NAME: "Final" = 64
"""The number of characters a name may have."""

NAME_PATTERN: "Final" = rf"(?!\.{{1,2}}$)[A-Za-z0-9_.-]{{1,{MAX_NAME}}}"
"""The same as `is_name`, as a pattern of a whole text for JSON Schema."""

_OF_NAMES: "Final" = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


def is_name(text: str) -> bool:
    """Return True if this may be a name, a run_id or a queue."""
    return 0 < len(text) <= MAX_NAME and _OF_NAMES.issuperset(text) and text not in (".", "..")


def parse_tags(written: str) -> tuple[str, ...]:
    """Return the tags in a text that separates them by commas.

    Raises:
        ValueError: a tag is not `key` or `key=value`.
    """
    return check_tags([tag.strip() for tag in written.split(",") if tag.strip()])


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags without duplicates.

    Raises:
        ValueError: a tag is not `key` or `key=value`.
    """
    once = tuple(dict.fromkeys(tags))
    for tag in once:
        if not tag.partition("=")[0].strip() or "," in tag or not tag.isprintable():
            raise ValueError(tag)
    return once
