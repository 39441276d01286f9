"""The commands that a word which is none may mean."""

from collections.abc import Sequence
from typing import Final

_ELSEWHERE: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("run", "submit", "exec", "launch"), ("add", "enqueue")),
    **dict.fromkeys(("ps", "list", "jobs", "runs", "history"), ("ls",)),
    **dict.fromkeys(("top", "watch", "monitor"), ("status", "ls")),
    **dict.fromkeys(("rm", "remove", "delete"), ("cancel", "prune")),
    **dict.fromkeys(("kill", "abort", "terminate"), ("cancel",)),
    **dict.fromkeys(("restart", "rerun", "requeue", "resubmit"), ("retry",)),
    **dict.fromkeys(("clean", "clear", "cleanup", "purge", "gc"), ("prune",)),
    **dict.fromkeys(("log", "cat", "output"), ("logs",)),
    **dict.fromkeys(("info", "describe", "inspect"), ("show",)),
    **dict.fromkeys(("queues", "servers"), ("status",)),
    **dict.fromkeys(("validate", "lint"), ("check",)),
    **dict.fromkeys(("daemon", "worker", "up"), ("start", "serve")),
    **dict.fromkeys(("down", "shutdown"), ("stop",)),
    "unhold": ("release",),
    "unpause": ("resume",),
    "tail": ("logs -f",),
    "help": ("--help",),
}
"""Commands of other tools, each with our nearest ones."""


def suggestions(word: str, verbs: Sequence[str]) -> Sequence[str]:
    """Return the commands that an unknown word may mean: those that it abbreviates or misspells.

    >>> suggestions("kill", ["cancel"]), suggestions("stat", ["start", "status", "stop"])
    (('cancel',), ['status'])
    """
    if word in _ELSEWHERE:
        return _ELSEWHERE[word]
    begun = [verb for verb in verbs if len(word) > 2 and verb.startswith(word)]
    return begun or [verb for verb in verbs if _is_typo(word, verb)]


def _is_typo(word: str, verb: str) -> bool:
    """Return True for one letter too many, too few or wrong, or two in the wrong order.

    >>> _is_typo("stauts", "status"), _is_typo("lgs", "logs"), _is_typo("run", "prune")
    (True, True, False)
    """
    if len(word) < len(verb):
        word, verb = verb, word
    if len(word) > len(verb):
        return any(word[:at] + word[at + 1 :] == verb for at in range(len(word)))
    wrong = [at for at in range(len(word)) if word[at] != verb[at]]
    if len(wrong) < 2:
        return True
    first, last = wrong[0], wrong[-1]
    return last == first + 1 and word[first] + word[last] == verb[last] + verb[first]
