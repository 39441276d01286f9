"""Messages about files in the folder that are no runs."""

import os
from collections.abc import Iterator, Sequence

from aqueue.cli.output import say
from aqueue.client.untaken import Kind, Untaken
from aqueue.folder.layout import Folder
from aqueue.folder.rejected import RejectedFile
from aqueue.units import counted, plural

_SHOWN = 5


def in_full(folder: Folder, left: Sequence[Untaken], bad: int, newest: RejectedFile | None) -> Iterator[str]:
    """Yield the lines that say which files are not taken, and why.

    Args:
        left: the files that are not taken.
        bad: how many were rejected.
        newest: the one of them that was rejected last.
    """
    where = os.path.relpath(folder.path)
    waiting = [one for one in left if one.kind is Kind.WAITS]
    if waiting:
        # They all wait for the same.
        why = waiting[0].reason.rpartition(": ")[2]
        yield f"{_files_are(len(waiting), where)} not taken yet: {why}"
    others = [one for one in left if one.kind is not Kind.WAITS]
    yield from (one.reason for one in others[:_SHOWN])
    if len(others) > _SHOWN:
        yield f"{len(others) - _SHOWN} more are not taken; `aqueue status --json` has all"
    if newest is not None:
        which = f"the newest is {newest.file}" if bad > 1 else newest.file
        why = f": {newest.reason}" if newest.reason else ""
        yield f"{counted(bad, 'file')} in {os.path.relpath(folder.rejected)}/, {which}{why}"


def say_in_short(folder: Folder, left: Sequence[Untaken], bad: int) -> None:
    """Say in one line that there are files that are not taken, or were rejected."""
    parts = [f"{_files_are(len(left), os.path.relpath(folder.path))} not taken"] if left else []
    parts += [f"{counted(bad, 'file')} {plural(bad, 'was', 'were')} rejected"] if bad else []
    if parts:
        say(f"{', '.join(parts)}: `aqueue status` says why", err=True)


def say_why_left(left: Sequence[Untaken]) -> None:
    """Say of the first of some files why they are left."""
    for one in left[:_SHOWN]:
        say(one.reason, err=True)
    if len(left) > _SHOWN:
        say(f"{len(left) - _SHOWN} more files are not taken; `aqueue status` says why", err=True)


def _files_are(count: int, where: str) -> str:
    return f"{counted(count, 'file')} in {where}/ {plural(count, 'is', 'are')}"
