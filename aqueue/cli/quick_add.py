"""`aqueue add` in the ordinary case: the command, and perhaps a name, a queue, a folder, tags and the like.

Imports, above all of click, take most of the time of a command. A command line with only these options is parsed
here; any other goes to the full command line, which also reports all errors.
"""

from collections.abc import Mapping, Sequence

from aqueue.cli import output
from aqueue.client import quick_add
from aqueue.model.basics import HIGH, LOW, is_name, parse_tags

_BEFORE = {"--dir": "directory"}
"""The options before `add`."""

_OPTIONS = {
    "-n": "name",
    "--name": "name",
    "-u": "queue",
    "--queue": "queue",
    "--dir": "directory",
    "--priority": "priority",
    "--tags": "tags",
    "--hold": "hold",
}
"""The options of `add`."""

_PRIORITIES = {"high": HIGH, "low": LOW}


def run(arguments: Sequence[str]) -> int | None:
    """Queue the command of a command line, print the id of its run, and return the exit code.

    Args:
        arguments: the whole command line.

    Returns:
        None if nothing was done, because the command line has other options, or needs more work or messages.
    """
    output.prepare()
    parsed = _parsed(arguments)
    if parsed is None:
        return None
    options, words = parsed
    added = quick_add.add(
        words,
        directory=options.get("directory"),
        name=options.get("name"),
        queue=options.get("queue"),
        priority=_PRIORITIES[options.get("priority", "low")],
        tags=parse_tags(options.get("tags", "")),
        hold="hold" in options,
    )
    if added is None:
        return None
    id_, unserved = added
    output.note(unserved)
    output.report_queued(id_)
    return 0


def _parsed(arguments: Sequence[str]) -> tuple[dict[str, str], Sequence[str]] | None:
    """Return the options and the words of the command; None for any other command line.

    >>> _parsed(["add", "-na", "--", "make", "-j"]), _parsed(["add", "--gpus", "1", "make"])
    (({'name': 'a'}, ['make', '-j']), None)
    """
    before = _options(arguments, _BEFORE)
    if before is None or before[1][:1] != ["add"]:
        return None
    after = _options(before[1][1:], _OPTIONS)
    if after is None:
        return None
    options, left = before[0] | after[0], after[1]
    if left[:1] == ["--"]:
        left = left[1:]
    elif left and left[0].startswith("-"):
        return None
    return (options, left) if left else None


def _options(arguments: Sequence[str], known: Mapping[str, str]) -> tuple[dict[str, str], list[str]] | None:
    """Return the options at the beginning, and what is left; None if one is unusual.

    >>> _options(["--name=a", "-u", "b", "-x"], _OPTIONS), _options(["-n", "a", "-nb"], _OPTIONS)
    (({'name': 'a', 'queue': 'b'}, ['-x']), None)
    """
    options: dict[str, str] = {}
    left = list(arguments)
    while left and (key := known.get(_split(left[0])[0])):
        option, value = _split(left.pop(0))
        if key == "hold":
            # The only flag.
            value = option if value is None else ""
        elif value is None:
            value = left.pop(0) if left else ""
        if key in options or not _is_ordinary(key, value):
            return None
        options[key] = value
    return options, left


def _is_ordinary(key: str, value: str) -> bool:
    """Return True for a valid value of an option."""
    if key == "hold":
        return bool(value)
    if not value or value.startswith("-"):
        return False
    if key == "tags":
        try:
            return bool(parse_tags(value))
        except ValueError:
            return False
    return key == "directory" or (value in _PRIORITIES if key == "priority" else is_name(value))


def _split(word: str) -> tuple[str, str | None]:
    """Return an option and the value in the same word, None if there is none.

    >>> _split("--name=a"), _split("-na"), _split("-n")
    (('--name', 'a'), ('-n', 'a'), ('-n', None))
    """
    if word.startswith("--"):
        option, equals, value = word.partition("=")
        return option, value if equals else None
    return word[:2], word[2:] or None
