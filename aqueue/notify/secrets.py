"""Secrets: the `${NAME}` and `${file:PATH}` in the texts of a target."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from aqueue.model.notification import Target
from aqueue.notify.errors import DeliveryError

_PLACEHOLDER: Final = re.compile(
    r"\$\$\{|\$\{(?:file:(?P<file>[^{}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*))\}", re.ASCII
)
_MIN_LENGTH = 4
"""The least length of a value that is taken out of errors: shorter ones are in many words."""


class Secrets:
    """The values that replace placeholders.

    Args:
        environment: the environment of the server.
        directory: the directory that the paths of files are relative to.
    """

    def __init__(self, environment: Mapping[str, str], directory: str) -> None:
        self._environment = environment
        self._directory = Path(directory)
        self._values: set[str] = set()

    def fill_in(self, target: Target) -> Target:
        """Return a target with the values in place of their placeholders.

        A command keeps its text: a shell has the environment.

        Raises:
            DeliveryError: a variable is not set, or a file cannot be read.
        """
        address = target.address
        return msgspec.structs.replace(
            target,
            address=self._filled_in(address) if isinstance(address, str) and target.kind != "command" else address,
            options={key: self._filled_in(text) for key, text in target.options.items()},
            recipients=tuple(map(self._filled_in, target.recipients)),
        )

    def take_out(self, text: str) -> str:
        """Return a text with stars in place of all values."""
        for value in sorted(self._values, key=len, reverse=True):
            if len(value) >= _MIN_LENGTH:
                text = text.replace(value, "***")
        return text

    def _filled_in(self, text: str) -> str:
        return _PLACEHOLDER.sub(self._value_of, text)

    def _value_of(self, match: re.Match[str]) -> str:
        if match["name"]:
            value = self._environment.get(match["name"])
            if not value:
                raise DeliveryError(f"{match['name']} is not set in the environment")
        elif match["file"]:
            value = self._read(match["file"])
        else:
            return "${"
        self._values.add(value)
        return value

    def _read(self, written: str) -> str:
        try:
            return (self._directory / Path(written).expanduser()).read_text(encoding="utf-8").strip()
        except (OSError, RuntimeError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not a text file of this machine"
            raise DeliveryError(f"{written} cannot be read: {why}") from None
