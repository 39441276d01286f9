"""Text from files, commands and other users, made safe for a terminal. Pure.

Control characters in a name or param can move the cursor, hide or forge other output, or fill the clipboard.
Characters that change the writing direction can make one command look like another.
"""

from itertools import chain

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_KEPT: "Final" = "\t\n"
_DIRECTIONS: "Final" = (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_LINES: "Final" = (0x2028, 0x2029)
_BEYOND_ASCII: "Final" = (*range(0x7F, 0xA0), *_DIRECTIONS, *_LINES)

_SPELLED: "Final" = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in chain(range(0x20), _BEYOND_ASCII)
    if chr(code) not in _KEPT
}
_SPELLED_IN_JSON: "Final" = {code: f"\\u{code:04x}" for code in _BEYOND_ASCII}


def visible(text: str) -> str:
    """Return a text with its control characters escaped as in Python. Line ends and tabs stay."""
    return text if text.isprintable() else text.translate(_SPELLED)


def visible_line(text: str) -> str:
    """Return a text escaped as by `visible`, on one line."""
    return visible(text).replace("\n", "\\n")


def visible_json(document: str) -> str:
    """Return an equivalent JSON document with its control characters escaped."""
    return document.translate(_SPELLED_IN_JSON)
