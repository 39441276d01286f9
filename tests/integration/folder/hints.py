"""Waiting for the hints of a watch."""

import time
from pathlib import Path

from aqueue.folder.watch import Watch

SECONDS = 10.0


async def hints_until(watch: Watch, path: Path) -> set[str]:
    """All hints up to the first that is about `path`; a directory stands for all that is in it."""
    wanted = {str(path), *map(str, path.parents)}
    hints: set[str] = set()
    deadline = time.monotonic() + SECONDS
    while hints.isdisjoint(wanted):
        assert time.monotonic() < deadline, f"no hint about {path}, only about {hints}"
        hints |= await watch.wait(1.0)
    return hints


async def hints_about(watch: Watch, path: Path) -> set[str]:
    """All hints up to the first that is about `path`, and those that follow it closely.

    That all may have changed, as is said once it is quiet, is about `path`, too.
    """
    hints: set[str] = set()
    deadline = time.monotonic() + SECONDS
    while str(path) not in hints:
        assert time.monotonic() < deadline, f"no hint about {path}, only about {hints}"
        found = await watch.wait(1.0)
        hints |= {str(path)} if is_everything(found) else found
    while more := await watch.wait(0.2):
        hints |= set() if is_everything(more) else more
    return hints


async def silence(watch: Watch) -> None:
    """Wait until there is nothing more to be told of what was before."""
    deadline = time.monotonic() + SECONDS
    while await watch.wait(0.2):
        assert time.monotonic() < deadline


def is_everything(hints: set[str]) -> bool:
    return len(hints) == 2 and any(hint.endswith("/.aqueue/bell") for hint in hints)
