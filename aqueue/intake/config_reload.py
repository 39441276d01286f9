"""The configuration that is in force, and how a saved edit of it comes into force.

A change hint about `aqueue.yaml` has it read again. A file that somebody is still
writing, is empty, is gone or has an error in it is read once more a moment later: editors remove a file or
empty it before they write it anew. After that an error is reported, and the old configuration stays in force; so
does the last good one where a server starts on a file with an error in it.
"""

import math
import os
import time
from collections.abc import Mapping
from typing import Final

from aqueue.errors import FileError
from aqueue.folder.layout import Folder
from aqueue.folder.settling import Settling
from aqueue.formats import config_file, last_good_config
from aqueue.model.config import Config
from aqueue.model.events import Notice, Report
from aqueue.threads import leave_event_loop

_RECHECK_SECONDS: Final = 0.3


class ConfigReload:
    """Knows the configuration in force.

    Args:
        environment: says some things over the file.
        report: is told about edits that are no good.

    Raises:
        FileError, UsageError: the configuration has an error in it, and no last good one is known.
    """

    def __init__(self, folder: Folder, environment: Mapping[str, str], report: Report) -> None:
        self._folder = folder
        self._environment = environment
        self._report = report
        self._settling = Settling(lambda text: report(Notice(text)))
        self._file = os.path.relpath(folder.config)
        loaded = last_good_config.load(folder, environment, to_serve=True)
        self._content = loaded.content
        self._doubted_at: float | None = None
        self._complaint = [] if loaded.error is None else loaded.error.lines()
        self.next_check: float | None = None
        """When to read a file again that was not settled, on the monotonic clock; None if it was."""
        self.changed_at = -math.inf
        """When the configuration in force came into it, in seconds since the epoch."""
        self.config = loaded.config
        if loaded.error is None:
            last_good_config.keep(folder, loaded.content)
        self._report(*(Notice(text, urgent=True) for text in loaded.complaints()))
        self._warn()

    def reload(self) -> bool:
        """Read the file, and have what it says be in force.

        Returns:
            whether another configuration is in force now.
        """
        self.next_check = None
        try:
            content = config_file.read(self._folder, self._settling)
            if content is None:
                self.next_check = self._settling.next_check
                return False
            if content == self._content:
                self._doubted_at, self._complaint = None, []
                last_good_config.keep(self._folder, content)
                return False
            leave_event_loop()
            config = self._parse(content)
        except FileError as error:
            return self._doubt(error.lines())
        if not content.strip() and self._is_first_doubt():
            return False
        self._content, self._doubted_at, self._complaint = content, None, []
        last_good_config.keep(self._folder, content)
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
        """Return True if it may yet turn out well; then it is read again soon."""
        now = time.monotonic()
        if self._doubted_at is None:
            self._doubted_at = now
        until = self._doubted_at + _RECHECK_SECONDS
        self.next_check = until if now < until else None
        return self.next_check is not None

    def _parse(self, content: bytes) -> Config:
        return config_file.under(self._environment, config_file.parse(content, self._file))

    def _warn(self) -> None:
        for warning in self.config.warnings:
            self._report(Notice(f"{self._file}: {warning}", urgent=True))
