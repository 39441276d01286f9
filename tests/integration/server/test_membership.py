"""A server learns of the other servers of its folder."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import msgspec

from aqueue.folder.layout import Folder
from aqueue.folder.server_locks import ServerLock
from aqueue.intake.config_reload import ConfigReload
from aqueue.model.server import Server
from aqueue.policy.limits import Limits
from aqueue.server.membership import Membership, new_record
from aqueue.store.server_database import Database
from tests.clock import SetClock

NO_DATABASE = cast("Database", None)


class Company:
    """A server under test, and others beside it."""

    def __init__(self, folder: Folder, lock: ServerLock) -> None:
        self.clock = SetClock()
        self.taken_over = 0
        self.membership = Membership(
            folder,
            NO_DATABASE,
            new_record(lock, Limits(), self.clock, None, None),
            ConfigReload(folder, {}, lambda *_: None),
            self.clock,
            Limits,
            self._take_over,
            lambda *_: None,
        )

    def _take_over(self) -> None:
        self.taken_over += 1

    def other(self, id_: str, heartbeat_at: float) -> Server:
        return msgspec.structs.replace(self.membership.record, id=id_, heartbeat_at=heartbeat_at)


@contextmanager
def company(folder: Folder) -> Iterator[Company]:
    lock = ServerLock.announce(folder.servers)
    try:
        yield Company(folder, lock)
    finally:
        lock.release()


def killed(folder: Folder) -> Path:
    """The sign of a server that was killed: nobody has it locked any more."""
    sign = folder.servers / "0123456789abcdef"
    sign.touch()
    return sign


def test_a_roll_call_changes_nothing_and_says_the_same_when_it_is_done_again(folder: Folder) -> None:
    sign = killed(folder)
    with company(folder) as one:
        servers = [one.membership.record, one.other(sign.name, 1000.0)]
        first = one.membership.check_liveness(servers, 1001.0)
        assert first.gone == {sign.name}
        assert one.membership.check_liveness(servers, 1001.0) == first
        assert sign.exists()
        assert one.taken_over == 0


def test_what_is_left_of_a_server_is_cleared_away_once_the_store_has_forgotten_it(folder: Folder) -> None:
    sign = killed(folder)
    with company(folder) as one:
        one.membership.clear_gone(
            one.membership.check_liveness([one.membership.record, one.other(sign.name, 1000.0)], 1001.0)
        )
        assert not sign.exists()
        assert one.taken_over == 1


def test_a_living_server_without_a_sign_of_life_is_neither_fresh_nor_gone(folder: Folder) -> None:
    other = ServerLock.announce(folder.servers)
    try:
        with company(folder) as one:
            now = 1031.0
            mine = msgspec.structs.replace(one.membership.record, heartbeat_at=now)
            call = one.membership.check_liveness([mine, one.other(other.id, 1000.0)], now)
            assert call.fresh == {mine.id}
            assert not call.gone
            assert call.woke_at == -math.inf
    finally:
        other.release()


def test_a_server_that_slept_takes_nobody_for_stale_until_they_had_the_time_to_say_otherwise(
    folder: Folder,
) -> None:
    other = ServerLock.announce(folder.servers)
    try:
        with company(folder) as one:
            both = [one.membership.record, one.other(other.id, 1000.0)]
            call = one.membership.check_liveness(both, 5000.0)
            assert other.id in call.fresh
            one.membership.clear_gone(call)
            awake = [msgspec.structs.replace(both[0], heartbeat_at=5020.0), both[1]]
            assert other.id in one.membership.check_liveness(awake, 5020.0).fresh
            later = [msgspec.structs.replace(both[0], heartbeat_at=5031.0), both[1]]
            assert other.id not in one.membership.check_liveness(later, 5031.0).fresh
    finally:
        other.release()


def test_a_roll_call_says_when_the_next_server_becomes_stale(folder: Folder) -> None:
    first, second = ServerLock.announce(folder.servers), ServerLock.announce(folder.servers)
    try:
        with company(folder) as one:
            mine = msgspec.structs.replace(one.membership.record, heartbeat_at=1020.0)
            others = [one.other(first.id, 1000.0), one.other(second.id, 1010.0)]
            assert one.membership.check_liveness([mine, *others], 1020.0).stale_at == 1030.0
            # At that moment it is stale, and the other one is next.
            then = one.membership.check_liveness([mine, *others], 1030.0)
            assert first.id not in then.fresh
            assert then.stale_at == 1040.0
            assert one.membership.check_liveness([mine], 1030.0).stale_at == math.inf
    finally:
        first.release()
        second.release()
