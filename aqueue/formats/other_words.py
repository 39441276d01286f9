"""Keys as other tools call them, and those of ours that mean the same."""

from collections.abc import Sequence
from typing import Final

_OURS: Final = {
    **dict.fromkeys(("run", "cmd", "script", "exec"), ("command",)),
    **dict.fromkeys(("cwd", "workdir", "wdir", "dir", "directory"), ("working_dir",)),
    **dict.fromkeys(("depends", "depends_on", "deps", "dependencies"), ("needs", "after")),
    **dict.fromkeys(("cron", "crontab"), ("schedule",)),
    **dict.fromkeys(("environment", "envs", "variables"), ("env",)),
    "retry": ("retries",),
    "outs": ("outputs",),
}
_SEVERAL: Final = ("tasks", "jobs", "steps", "stages")


def ours(key: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of ours that one of another tool may mean; none if it is no such key."""
    word = key.lower().replace("-", "_")
    found = (word,) if word in known else _OURS.get(word, ())
    return found if set(found) <= set(known) else ()


def holds_tasks(key: str, known: Sequence[str]) -> bool:
    """Return True for a key under which other tools have several tasks, where a document is one."""
    return key in _SEVERAL and "command" in known
