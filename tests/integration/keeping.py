"""Keep schedule files as the intake does, but in the test's own thread."""

from collections.abc import Sequence
from pathlib import Path

from aqueue.errors import ScheduleError
from aqueue.folder.layout import Folder
from aqueue.intake.schedule_files import ScheduleFile
from tests.integration.dropping import Taker

GOOD = "command: 'true'\nschedule: '@daily'\n"
BETTER = "command: 'true'\nschedule: '@hourly'\n"
BAD = "command: 'true'\nschedule: '61 * * * *'\n"
TASK = "command: 'true'\n"
IN_FORCE = "the last good version stays in force"


class Pins:
    """An inbox whose news about schedules go to a store that takes everything but what it is told to refuse."""

    def __init__(self, taker: Taker) -> None:
        self.taker = taker
        self.files = taker.inbox.schedule_files
        self.refused: set[str] = set()

    def settle(self) -> list[ScheduleFile]:
        """Look at the whole folder until there is nothing left to look at; returns what was news."""
        told: list[ScheduleFile] = []
        while True:
            self.taker.settle()
            told += self.tell()
            if self.taker.inbox.next_check is None:
                return told

    def look(self, *hints: str | Path) -> list[ScheduleFile]:
        """Look once at what `hints` stand for; returns what was news."""
        self.taker.look(hints)
        return self.tell()

    def tell(self) -> list[ScheduleFile]:
        told: list[ScheduleFile] = []
        while news := self.files.take_pending():
            told += news
            for file in news:
                if file.name in self.refused and file.schedules:
                    self.taker.inbox.refuse(file, ScheduleError("there already is one", "give it another name"))
                else:
                    self.taker.inbox.confirm(file)
        return told

    @property
    def notices(self) -> list[str]:
        return [notice.text for notice in self.taker.notices]


def save(path: Path, text: str = GOOD) -> Path:
    """As editors do that write another file and put it in place."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text)
    draft.rename(path)
    return path


def names(news: Sequence[ScheduleFile]) -> list[tuple[str, list[str]]]:
    return [(file.name, [schedule.name for schedule in file.schedules]) for file in news]


def rejected(folder: Folder) -> dict[str, str]:
    """Return the contents of the files in `rejected/`, by their paths in it."""
    root = folder.rejected
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}
