"""Whether there is room for a run to be started, as far as that shows only when one is."""

import math

from aqueue.model.events import Event, Notice
from aqueue.server.headroom import Headroom
from tests.clock import SetClock


def test_while_runs_cannot_be_started_one_is_tried_at_a_time_and_that_is_told_once() -> None:
    told: list[Event] = []
    reasons: list[str] = []

    def report(*events: Event) -> None:
        told.extend(events)

    clock = SetClock()
    room = Headroom(str, clock, report, reasons.append)
    for _ in range(5):
        for running in (3, 2):
            room.is_missed("no process is to be had", running)
        assert room.has_room()
        room.has_gone_on()
        assert room.most_runs(2) == 2
        assert room.seconds_left() > 0
        clock.time += room.seconds_left()
        assert room.most_runs(2) == 3
        room.has_started(3, 3)
    assert told == [Notice("no process is to be had: no more is started until there is room", urgent=True)]
    room.have_ended(3)
    room.has_started(2, 3)
    room.has_gone_on()
    assert told[1:] == [Notice("there is room again: runs are started")]
    assert reasons == ["no process is to be had", ""]
    assert room.most_runs(2) == math.inf


def test_whoever_asks_is_told_why_nothing_is_started_until_something_is() -> None:
    told: list[str] = []
    room = Headroom(str, SetClock(), lambda *_: None, told.append)
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
