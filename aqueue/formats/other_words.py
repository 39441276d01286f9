"""Keys of other tools, and our keys with the same meaning."""

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
    """Return our keys for a key of another tool; empty if it is not such a key."""
    word = key.lower().replace("-", "_")
    found = (word,) if word in known else _OURS.get(word, ())
    return found if set(found) <= set(known) else ()


def holds_tasks(key: str, known: Sequence[str]) -> bool:
    """Return True for a key that holds several tasks in other tools."""
    return key in _SEVERAL and "command" in known
