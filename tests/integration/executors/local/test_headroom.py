"""Whether there is room for a run to be started, as far as that shows only when one is."""

from aqueue.executors.local.headroom import Headroom
from aqueue.folder.layout import Folder
from aqueue.model.events import Event, Notice
from tests.clock import SetClock


def test_what_was_missed_is_tried_again_after_longer_and_longer_and_told_of_once(folder: Folder) -> None:
    told: list[Event] = []

    def report(*events: Event) -> None:
        told.extend(events)

    clock = SetClock()
    room = Headroom(folder, clock, report)
    assert room.has_room()
    for seconds in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        for _ in range(3):
            room.is_missed("no process is to be had")
        clock.time += seconds - 0.5
        assert not room.has_room()
        clock.time += 1.0
        assert room.has_room()
    assert told == [Notice("no process is to be had: nothing is started until there is room", urgent=True)]
    room.is_there()
    assert told[1:] == [Notice("there is room again: runs are started")]
    assert room.has_room()


def test_whoever_asks_is_told_why_nothing_is_started_until_something_is(folder: Folder) -> None:
    told: list[str] = []
    room = Headroom(folder, SetClock(), lambda *_: None, told.append)
    assert room.has_room()
    room.is_short("the disk is full")
    room.is_short("the disk is full")
    room.has_gone_on()
    assert told == ["the disk is full"]
    room.is_there()
    room.has_gone_on()
    assert told[1:] == [""]
    room.is_hindered("the database is locked")
    room.has_gone_on()
    assert told[2:] == ["the database is locked", ""]
