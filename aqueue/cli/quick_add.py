"""`aqueue add` in the ordinary case: the command, and perhaps a name, a queue and a folder.

Imports, above all of click, take most of the time of a command. A command line with only these options is parsed
here; any other goes to the full command line, which also reports all errors.
"""

from collections.abc import Sequence

from aqueue.cli import output
from aqueue.client import quick_add
from aqueue.model.basics import is_name

_OPTIONS = {"-n": "name", "--name": "name", "-u": "queue", "--queue": "queue", "--dir": "directory"}


def run(arguments: Sequence[str]) -> int | None:
    """Queue the command of a command line, print the id of its run, and return the exit code.

    Returns:
        None if nothing was done, because the command line has other options, or needs more work or messages.
    """
    output.prepare()
    parsed = _parsed(arguments)
    if parsed is None:
        return None
    options, words = parsed
    added = quick_add.add(
        words, directory=options.get("directory"), name=options.get("name"), queue=options.get("queue")
    )
    if added is None:
        return None
    id_, unserved = added
    output.note(unserved)
    output.report_queued(id_)
    return 0


def _parsed(arguments: Sequence[str]) -> tuple[dict[str, str], Sequence[str]] | None:
    """Return the options and the words of the command; None for any other command line.

    >>> _parsed(["-n", "a", "--", "make", "-j"]), _parsed(["--gpus", "1", "make"])
    (({'name': 'a'}, ['make', '-j']), None)
    """
    options: dict[str, str] = {}
    left = list(arguments)
    while left and left[0] in _OPTIONS:
        option, *left = left
        key, value = _OPTIONS[option], left.pop(0) if left else ""
        if key in options or not value or value.startswith("-"):
            return None
        if key != "directory" and not is_name(value):
            return None
        options[key] = value
    if left[:1] == ["--"]:
        left = left[1:]
    elif left and left[0].startswith("-"):
        return None
    return (options, left) if left else None
