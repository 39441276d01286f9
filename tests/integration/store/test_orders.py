"""Orders in a file that was made beforehand: kept until they are taken out, whatever is written half."""

import multiprocessing
from pathlib import Path

import pytest

from aqueue.model.server import Leaving
from aqueue.store.orders import Cancel, Leave, Order, OrderFile

SIZE = 1 << 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders"


@pytest.fixture
def file(path: Path) -> OrderFile:
    file = OrderFile(str(path))
    file.prepare()
    return file


def cancel(run: int) -> Cancel:
    return Cancel(run, 1, "cancelled")


def test_the_file_takes_all_its_room_beforehand_and_is_private(file: OrderFile, path: Path) -> None:
    status = path.stat()
    assert (status.st_size, status.st_mode & 0o777) == (SIZE, 0o600)
    assert status.st_blocks * 512 >= SIZE
    file.give([cancel(1)])
    assert path.stat().st_size == SIZE


def test_orders_lie_there_until_they_are_taken_out(file: OrderFile, path: Path) -> None:
    assert file.read() == []
    given: list[Order] = [cancel(1), Leave("abc", Leaving.AT_ONCE), cancel(2)]
    file.give(given[:1])
    file.give(given[1:])
    file.prepare()
    assert OrderFile(str(path)).read() == given
    file.remove(given[:2])
    assert file.read() == given[2:]
    file.give([cancel(3)])
    file.remove([given[2], cancel(3)])
    assert path.read_bytes() == bytes(SIZE)


def test_an_order_that_is_given_twice_lies_there_once(file: OrderFile) -> None:
    file.give([cancel(1)])
    file.give([cancel(1), cancel(2)])
    assert file.read() == [cancel(1), cancel(2)]


def test_an_order_that_was_written_half_is_none_and_does_no_harm_to_others(file: OrderFile, path: Path) -> None:
    file.give([cancel(1)])
    whole = path.read_bytes().rstrip(b"\0")
    with path.open("r+b") as raw:
        raw.seek(len(whole))
        raw.write(whole[:10])
    assert file.read() == [cancel(1)]
    file.give([cancel(2), cancel(3)])
    assert file.read() == [cancel(1), cancel(2), cancel(3)]
    file.remove([cancel(1), cancel(2), cancel(3)])
    assert path.read_bytes() == bytes(SIZE)


def test_what_does_not_fit_is_refused_and_changes_nothing(file: OrderFile) -> None:
    file.give([cancel(1)])
    with pytest.raises(OSError, match="full of orders"):
        file.give([cancel(run) for run in range(10_000)])
    assert file.read() == [cancel(1)]


def test_where_no_file_was_made_beforehand_an_order_is_refused(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OrderFile(str(path)).give([cancel(1)])
    assert OrderFile(str(path)).read() == []


def _give(path: Path, first: int) -> None:
    for run in range(first, first + 50):
        OrderFile(str(path)).give([cancel(run)])


def test_orders_of_several_at_the_same_time_are_all_there(file: OrderFile, path: Path) -> None:
    context = multiprocessing.get_context("fork")
    givers = [context.Process(target=_give, args=(path, first)) for first in (0, 100, 200)]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join(30.0)
    given = {order.run for order in file.read() if isinstance(order, Cancel)}
    assert given == {first + number for first in (0, 100, 200) for number in range(50)}
