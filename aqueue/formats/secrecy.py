"""Redaction: which parts of a file its errors may show. Pure.

The values in `env` and `notify` may be secrets, and a small mistake, such as a missing blank after `env:`, makes
one key of all that follows. So a key is shown as far as it can be one that was meant, and the text in place of a
mapping is not.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

ENVIRONMENT: Final = "env"
"""The key below which values are secrets."""

NOTIFY: Final = "notify"
"""The key below which addresses and tokens are."""

_NAME = re.compile(r"[\w.-]{1,64}|<<")
_WORD = re.compile(r"\w*")
_LIKE_A_MAPPING = re.compile(r"[{\[:=]")


def key_shown(key: str, known: Sequence[str] = ()) -> str:
    """Return a key as an error may show it; empty if it cannot be meant as a key."""
    if _NAME.fullmatch(key) or key.replace(" ", "_") in known:
        return key
    word = _WORD.match(key)
    return f"{word[0]}…" if word and word[0] in known else ""


def path_shown(path: Sequence[str | int]) -> str:
    """Return a path in a document as an error may show it, with dots between its steps."""
    return ".".join(str(step) if isinstance(step, int) else key_shown(step) or "…" for step in path)


def may_be_shown(value: Any, path: Sequence[str | int], expected: str = "") -> bool:
    """Return True if an error may show a value.

    Args:
        path: its path in the document.
        expected: the expected value, in words. Text in place of a mapping with `env` may hold a secret.
    """
    if not isinstance(value, str):
        return True
    return ENVIRONMENT not in path and NOTIFY not in path and f"{{{ENVIRONMENT}:" not in expected


def is_command(text: str, line: int) -> bool:
    """Return True if a file's whole text, starting in this line, from 0, may be shown as a command."""
    return line == 0 and not _LIKE_A_MAPPING.search(text)
