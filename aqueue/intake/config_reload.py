"""The configuration in force, and how a saved edit takes effect.

A change hint for `aqueue.yaml` triggers a reload. If the file is being written, empty, missing or invalid, it is
read again a moment later, because editors remove or truncate a file before they write it. After that, an error is
reported and the old configuration stays in force. A server that starts on an invalid file uses the last good one.
"""

import math
import time
from collections.abc import Mapping
from typing import Final

from aqueue.errors import FileError
from aqueue.folder import config_content
from aqueue.folder.layout import Folder, display_path
from aqueue.folder.settling import Settling
from aqueue.formats import config_file, last_good_config
from aqueue.model.events import Notice, Report
from aqueue.threads import leave_event_loop

_RECHECK_SECONDS: Final = 0.3


class ConfigReload:
    """The configuration in force, reloaded when its file changes.

    Args:
        environment: overrides some keys of the file.
        report: is called for invalid edits.

    Raises:
        FileError, UsageError: the configuration is invalid, and there is no last good one.
    """

    def __init__(self, folder: Folder, environment: Mapping[str, str], report: Report) -> None:
        self._folder = folder
        self._environment = environment
        self._report = report
        self._settling = Settling(lambda text: report(Notice(text)))
        self._file = display_path(folder.config)
        loaded = last_good_config.load(folder, environment, to_serve=True)
        self._content, self._written = loaded.content, loaded.written
        self._doubted_at: float | None = None
        self._complaint = [] if loaded.error is None else loaded.error.lines()
        self.next_check: float | None = None
        """When to read the file again if it has not settled, on the monotonic clock; None if it has."""
        self.changed_at = -math.inf
        """When the configuration last changed, in seconds since the epoch."""
        self.config = loaded.config
        if loaded.error is None:
            last_good_config.keep(folder, loaded.content, loaded.written)
        self._report(*(Notice(text, urgent=True) for text in loaded.complaints()))
        self._warn()

    def reload(self) -> bool:
        """Read the file and apply it.

        Returns:
            True if the configuration has changed.
        """
        self.next_check = None
        try:
            content = config_content.read(self._folder, self._settling)
            if content is None:
                self.next_check = self._settling.next_check
                return False
            if content == self._content:
                self._doubted_at, self._complaint = None, []
                last_good_config.keep(self._folder, content, self._written)
                return False
            leave_event_loop()
            written = config_file.parse(content, self._file)
            config = config_file.under(self._environment, written)
        except FileError as error:
            return self._doubt(error.lines())
        if not content.strip() and self._is_first_doubt():
            return False
        self._content, self._written = content, written
        self._doubted_at, self._complaint = None, []
        last_good_config.keep(self._folder, content, written)
        if config == self.config:
            return False
        self.changed_at = time.time()
        self.config = config
        self._warn()
        return True

    def _doubt(self, problems: list[str]) -> bool:
        if not self._is_first_doubt():
            self._doubted_at = None
            if problems != self._complaint:
                self._complaint = problems
                *others, last = problems
                said = [*others, f"{last}; the configuration stays as it was"]
                self._report(*(Notice(text, urgent=True) for text in said))
        return False

    def _is_first_doubt(self) -> bool:
        """Return True if the file may be half-written; then schedule another reading."""
        now = time.monotonic()
        if self._doubted_at is None:
            self._doubted_at = now
        until = self._doubted_at + _RECHECK_SECONDS
        self.next_check = until if now < until else None
        return self.next_check is not None

    def _warn(self) -> None:
        for warning in self.config.warnings:
            self._report(Notice(f"{self._file}: {warning}", urgent=True))
