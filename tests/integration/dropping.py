"""Drive an inbox as the intake does, but in the test's own thread."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from aqueue.folder.layout import Folder
from aqueue.intake.claimed_files import ClaimedFile, RunsOf, in_order
from aqueue.intake.inbox import Inbox
from aqueue.model.config import Config
from aqueue.model.events import Event, FileRejected, Notice
from tests.integration.accepting import tasks_of
from tests.waiting import eventually


class Taker:
    """An inbox, and what became of the files that it looked at."""

    def __init__(self, folder: Folder, has_schedules: Callable[[str], bool] | None = None) -> None:
        self.folder = folder
        self.runs: dict[str, Sequence[int]] = {}
        self.runs_of: RunsOf = lambda names: {name: self.runs[name] for name in names if name in self.runs}
        """The store's answer: the runs of files, by their names in `incoming/`."""
        self.inbox = Inbox(
            folder, self._asked_for_config, self._report, has_schedules, runs_of=lambda names: self.runs_of(names)
        )
        self.config = Config()
        self.taken: list[ClaimedFile] = []
        self.rejected: list[FileRejected] = []
        self.notices: list[Notice] = []
        self._act: Callable[[], object] | None = None
        self._is_looking = False

    def look(self, hints: Iterable[str | Path] = ()) -> None:
        """Look once at what `hints` stand for, or at the whole folder, and at what is due."""
        paths = {str(hint) for hint in hints} or {str(self.folder.path)}
        due = self.inbox.to_recheck(time.monotonic())
        arrivals = self.inbox.files_to_examine(paths.union(due))
        self._is_looking = True
        self.inbox.begin()
        examined = [self.inbox.examine(path) for path in arrivals]
        self.taken += in_order([file for file in examined if file is not None])
        self._is_looking = False

    def settle(self, seconds: float = 20.0) -> None:
        """Look until there is nothing left to look at again."""
        self.look()

        def settled() -> bool:
            if due := self.inbox.to_recheck(time.monotonic()):
                self.look(due)
            return self.inbox.next_check is None

        eventually(settled, seconds)

    def before_parsing(self, act: Callable[[], object]) -> None:
        """Do something, once, at the moment when a file has been read and not yet been claimed."""
        self._act = act

    def file_away(self, file: ClaimedFile, runs: Sequence[int]) -> None:
        """File a file away, now that these are its runs."""
        self.runs[file.name] = runs
        if file in self.taken:
            self.inbox.claimed_files.remember([file])
        self.inbox.claimed_files.file_away([file.name])

    @property
    def left_behind(self) -> list[ClaimedFile]:
        """The files that servers which are gone left behind, read again."""
        return list(self.inbox.claimed_files.left_behind(0.0))

    @property
    def names(self) -> list[str]:
        """Return the names of the taken tasks."""
        return [task.name for file in self.taken for task in tasks_of(file)]

    @property
    def commands(self) -> Sequence[object]:
        """Return the commands of the taken tasks."""
        return [task.command for file in self.taken for task in tasks_of(file)]

    def _asked_for_config(self) -> Config:
        act = self._act
        if act is not None and self._is_looking:
            self._act = None
            act()
        return self.config

    def _report(self, *events: Event) -> None:
        self.rejected += [event for event in events if isinstance(event, FileRejected)]
        self.notices += [event for event in events if isinstance(event, Notice)]
