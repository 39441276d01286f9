"""Messages about files in the folder that are not queued."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from aqueue.cli.output import say
from aqueue.client.untaken import Kind, Untaken
from aqueue.folder.layout import Folder, display_path
from aqueue.folder.rejected import RejectedFile
from aqueue.units import counted, listed, plural

_SHOWN = 5


def in_full(folder: Folder, left: Sequence[Untaken], bad: int, newest: RejectedFile | None) -> Iterator[str]:
    """Yield lines about the files that are not taken, with the reasons.

    Args:
        left: the files that are not taken.
        bad: the number of rejected files.
        newest: the file that was rejected last.
    """
    where = display_path(folder.path)
    waiting = [one for one in left if one.kind is Kind.WAITS]
    if waiting:
        # All have the same reason.
        why = waiting[0].reason.rpartition(": ")[2]
        names = listed([one.file for one in waiting], _SHOWN)
        more = "; `aqueue status --json` has all" if len(waiting) > _SHOWN else ""
        yield f"{_files_are(len(waiting), where)} not taken yet: {names}; {why}{more}"
    others = [one for one in left if one.kind is not Kind.WAITS]
    yield from (one.reason for one in others[:_SHOWN])
    if len(others) > _SHOWN:
        yield f"{len(others) - _SHOWN} more are not taken; `aqueue status --json` has all"
    if newest is not None:
        which = f"the newest is {newest.file}" if bad > 1 else newest.file
        why = f": {newest.reason}; {_command(folder, bad, newest)}" if newest.reason else ""
        yield f"{counted(bad, 'file')} in {display_path(folder.rejected)}/, {which}{why}"


def _command(folder: Folder, bad: int, newest: RejectedFile) -> str:
    """Return the command that shows the errors in full."""
    path = display_path(folder.path / newest.file)
    if bad == 1:
        return f"`cat {shlex.quote(f'{path}.error')}` shows all of it"
    return f"`cat {shlex.quote(str(Path(path).parent))}/*.error` shows why each was"


def summary(folder: Folder, left: Sequence[Untaken], bad: int) -> str | None:
    """Return one line if there are files that are not taken or were rejected."""
    parts = [f"{_files_are(len(left), display_path(folder.path))} not taken"] if left else []
    parts += [f"{counted(bad, 'file')} {plural(bad, 'was', 'were')} rejected"] if bad else []
    return f"{', '.join(parts)}: `aqueue status` says why" if parts else None


def print_reasons(left: Sequence[Untaken]) -> None:
    """Print the reasons why the first of some files are not taken."""
    for one in left[:_SHOWN]:
        say(one.reason, err=True)
    if len(left) > _SHOWN:
        say(f"{len(left) - _SHOWN} more files are not taken; `aqueue status` says why", err=True)


def _files_are(count: int, where: str) -> str:
    return f"{counted(count, 'file')} in {where}/ {plural(count, 'is', 'are')}"
