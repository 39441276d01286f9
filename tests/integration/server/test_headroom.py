"""Headroom that shows only when a run is started."""

import math

from aqueue.model.events import Event, Notice
from aqueue.server.headroom import DISK_FULL_PAUSE, Headroom
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
            room.start_failed("no process is to be had", running)
        assert room.has_room()
        room.unblock()
        assert room.max_runs(2) == 2
        assert room.seconds_left() > 0
        clock.time += room.seconds_left()
        assert room.max_runs(2) == 3
        room.runs_started(3, 3)
    assert told == [Notice("no process is to be had: no more runs are started until there is room", urgent=True)]
    room.runs_ended(3)
    room.runs_started(2, 3)
    room.unblock()
    assert told[1:] == [Notice("there is room again: runs start again")]
    assert reasons == ["no process is to be had", ""]
    assert room.max_runs(2) == math.inf


def test_whoever_asks_is_told_why_nothing_is_started_until_something_is() -> None:
    told: list[str] = []
    room = Headroom(str, SetClock(), lambda *_: None, told.append)
    assert room.has_room()
    room.report_shortage("the disk is full")
    room.report_shortage("the disk is full")
    room.unblock()
    assert told == ["the disk is full"]
    room.record_room()
    room.unblock()
    assert told[1:] == [""]
    room.block("the database is locked")
    room.unblock()
    assert told[2:] == ["the database is locked", ""]


def test_a_disk_that_fills_up_is_noticed_before_the_next_start_and_checked_again_after_a_pause() -> None:
    clock = SetClock()
    shortage = [""]
    room = Headroom(lambda: shortage[0], clock, lambda *_: None)
    assert room.has_room()
    shortage[0] = "the disk is full"
    assert not room.has_room()
    shortage[0] = ""
    assert not room.has_room()
    clock.time += DISK_FULL_PAUSE
    assert room.has_room()
