"""Completion in bash, which takes words apart at colons; there are some in NAME:RUN_ID."""

from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class


class _Bash(BashComplete):
    """As click has it; but words with colons are put together again, and only what follows the last is offered."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        for word in (*args, incomplete):
            if words and (word.startswith(":") or words[-1].endswith(":")):
                words[-1] += word
            else:
                words.append(word)
        # Whoever has taken the colon out of COMP_WORDBREAKS has whole words.
        self._is_there = "" if words[-1] == incomplete else words[-1][: words[-1].rfind(":") + 1]
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{item.value.removeprefix(self._is_there)}"


def register() -> None:
    """Have it used."""
    add_completion_class(_Bash)
