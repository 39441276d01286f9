"""However many files are dropped, each is examined, in order of arrival, and few are kept in memory."""

from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from aqueue.intake import backlog, inbox
from aqueue.intake.backlog import Backlog
from tests.integration.dropping import Taker
from tests.waiting import eventually

GOOD = "command: 'true'\n"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (backlog, inbox):
        monkeypatch.setattr(module, "MAX_FILES", 10)
    monkeypatch.setattr(backlog, "_ROUND", 4)


@pytest.fixture
def waiting(folder: Folder, taker: Taker) -> Backlog:
    return Backlog(taker.inbox, str(folder.path))


def drop(folder: Folder, *names: str, text: str = GOOD) -> list[str]:
    """Drop files, each later than the one before by the clock of the disk."""
    paths = [folder.path / f"{name}.yaml" for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        before = path.parent.stat().st_ctime_ns

        def is_later(path: Path = path, before: int = before) -> bool:
            path.write_text(text)
            return path.stat().st_ctime_ns > before

        eventually(is_later)
    return list(map(str, paths))


async def examine_all(waiting: Backlog, taker: Taker) -> list[str]:
    """Examine all files; returns their names in that order."""
    paths: list[str] = []
    while waiting:
        some = await waiting.take()
        assert len(some) <= 4
        assert len(waiting._paths) <= 10
        paths += some
        if some:
            taker.look(some)
        assert len(paths) < 1000
    return [Path(path).stem for path in paths]


def names(*numbers: int) -> list[str]:
    return [f"{99 - number}" for number in range(*numbers)]


async def test_the_files_of_a_folder_come_page_by_page_in_order_of_arrival(
    folder: Folder, taker: Taker, waiting: Backlog
) -> None:
    drop(folder, *names(35))
    await waiting.add([str(folder.path)])
    assert await examine_all(waiting, taker) == names(35)
    assert taker.names == names(35)


@pytest.mark.parametrize("size", [3, 25])
async def test_files_that_are_dropped_meanwhile_come_after_those_before(
    folder: Folder, taker: Taker, waiting: Backlog, size: int
) -> None:
    await waiting.add(drop(folder, *names(size)))
    taker.look(await waiting.take())
    await waiting.add(drop(folder, *names(size, size + 9)))
    taker.look(await waiting.take())
    await waiting.add(drop(folder, *names(size + 9, size + 18)))
    await examine_all(waiting, taker)
    assert taker.names == names(size + 18)


async def test_more_hints_than_fit_are_found_again_in_the_folder(
    folder: Folder, taker: Taker, waiting: Backlog
) -> None:
    await waiting.add(drop(folder, *names(11)))
    assert waiting._paths == []
    assert await examine_all(waiting, taker) == names(11)


async def test_files_that_cannot_be_taken_yet_hold_up_no_others(
    folder: Folder, taker: Taker, waiting: Backlog
) -> None:
    bad = drop(folder, *names(20), text="not: a task\n")
    drop(folder, *names(20, 25))
    await waiting.add([str(folder.path)])
    await examine_all(waiting, taker)
    assert taker.names == names(20, 25)
    assert all(Path(path).exists() for path in bad)


async def test_a_file_changed_during_a_scan_that_has_passed_it_is_examined(
    folder: Folder, taker: Taker, waiting: Backlog
) -> None:
    first, *_ = drop(folder, *names(12))
    await waiting.add([str(folder.path)])
    taken = await waiting.take()
    assert taken[0] == first
    # Its arrival is before what the scan has come to, whatever the clock.
    await waiting.add([first])
    taker.look(taken[1:])
    await examine_all(waiting, taker)
    assert sorted(taker.names) == sorted(names(12))
