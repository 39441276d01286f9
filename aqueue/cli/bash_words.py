"""Completion in bash, which splits words at colons, as in NAME:RUN_ID."""

from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class


class _Bash(BashComplete):
    """click's completion for bash, with words rejoined at colons; suggestions begin after the last colon."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        for word in (*args, incomplete):
            if words and (word.startswith(":") or words[-1].endswith(":")):
                words[-1] += word
            else:
                words.append(word)
        # If COMP_WORDBREAKS has no colon, words are already whole.
        self._is_there = "" if words[-1] == incomplete else words[-1][: words[-1].rfind(":") + 1]
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{item.value.removeprefix(self._is_there)}"


def register() -> None:
    """Use this completion for bash."""
    add_completion_class(_Bash)
