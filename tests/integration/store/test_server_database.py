"""The server's database: works in transactions, in order, small ones at once, and none half done."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator

import pytest

from aqueue.errors import DatabaseError
from aqueue.folder.layout import Folder
from aqueue.store.database import connect, transaction
from aqueue.store.server_database import Database
from aqueue.store.work import Work
from tests.integration.noting import corrupt, texts
from tests.waiting import eventually


@pytest.fixture
async def notes(used: Folder) -> AsyncIterator[Database]:
    database = await Database.open(used)
    await database.write(lambda connection: connection.execute("DELETE FROM notes").rowcount)
    yield database
    await database.close()


def note(text: str) -> Work[None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES (?)", (text,))

    return work


async def test_works_are_done_in_the_order_in_which_they_were_given(notes: Database) -> None:
    await asyncio.gather(*(notes.write(note(str(number))) for number in range(50)))
    assert await notes.write(texts) == [str(number) for number in range(50)]


async def test_a_work_that_fails_undoes_nothing_but_itself(notes: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ZeroDivisionError

    results = await asyncio.gather(
        notes.write(note("first")), notes.write(half), notes.write(note("last")), return_exceptions=True
    )
    assert isinstance(results[1], ZeroDivisionError)
    assert await notes.write(texts) == ["first", "last"]


@pytest.mark.parametrize("moment", ["before it is asked for", "after it is asked for", "within"])
async def test_a_cancelled_work_is_done_whole_or_not_at_all(notes: Database, moment: str) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def two_notes(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('first')")
        begun.set()
        may_go_on.wait(10.0)
        connection.execute("INSERT INTO notes VALUES ('second')")

    writing = asyncio.create_task(notes.write(two_notes))
    if moment == "after it is asked for":
        await asyncio.sleep(0)
    elif moment == "within":
        assert await asyncio.to_thread(begun.wait, 10.0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    may_go_on.set()
    assert await notes.write(texts) in ([], ["first", "second"])
    await notes.write(note("third"))
    assert (await notes.write(texts))[-1] == "third"


async def test_a_small_work_is_done_where_it_is_asked_for(notes: Database) -> None:
    assert await notes.write(lambda _: threading.get_ident(), is_small=True) == threading.get_ident()
    assert await notes.write(lambda _: threading.get_ident()) != threading.get_ident()


async def test_a_small_work_that_fails_undoes_nothing_but_itself(notes: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ZeroDivisionError

    await notes.write(note("first"), is_small=True)
    with pytest.raises(ZeroDivisionError):
        await notes.write(half, is_small=True)
    await notes.write(note("last"), is_small=True)
    assert await notes.write(texts) == ["first", "last"]


async def test_a_small_work_keeps_nobody_waiting_while_others_write(notes: Database, used: Folder) -> None:
    other = connect(used)
    with transaction(other, used):
        writing = asyncio.create_task(notes.write(note("hello"), is_small=True))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert not writing.done()
    await writing
    other.close()
    assert await notes.write(texts) == ["hello"]


async def test_what_takes_long_after_all_is_done_by_the_thread_once(notes: Database) -> None:
    threads: list[int] = []
    count = (
        "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000000) SELECT max(x) FROM c"
    )

    def long(connection: sqlite3.Connection) -> int:
        threads.append(threading.get_ident())
        connection.execute("INSERT INTO notes VALUES ('long')")
        return int(connection.execute(count).fetchone()[0])

    here = threading.get_ident()
    assert await notes.write(long, is_small=True) == 2_000_000
    assert [thread == here for thread in threads] == [True, False]
    # As it is likely to be like that again.
    assert await notes.write(lambda _: threading.get_ident(), is_small=True) != here
    assert await notes.write(lambda _: threading.get_ident(), is_small=True) == here
    assert await notes.write(texts) == ["long"]


async def test_the_event_loop_does_not_wait_for_the_disk_after_small_works(notes: Database, used: Folder) -> None:
    before = used.database.stat().st_size
    # As much as takes many small works, at once.
    insert = "INSERT INTO notes VALUES (zeroblob(42000000))"
    await notes.write(lambda connection: connection.execute(insert).rowcount, is_small=True)
    assert used.database.stat().st_size == before
    await notes.write(note("last"), is_small=True)
    assert used.database.stat().st_size > before + 40_000_000


async def test_what_was_written_is_there_for_others_at_once(notes: Database, used: Folder) -> None:
    await notes.write(note("hello"))
    connection = connect(used)
    assert texts(connection) == ["hello"]
    connection.close()


async def test_to_read_waits_for_nobody_who_writes(notes: Database, used: Folder) -> None:
    await notes.write(note("hello"))
    other = connect(used)
    with transaction(other, used):
        other.execute("DELETE FROM notes")
        assert await asyncio.wait_for(notes.read(texts), 5.0) == ["hello"]
    other.close()
    assert await notes.read(texts) == []


async def test_what_is_read_has_all_that_was_written_before(notes: Database) -> None:
    writing = [asyncio.ensure_future(notes.write(note(str(number)))) for number in range(20)]
    reading = asyncio.ensure_future(notes.read(texts))
    assert await reading == [str(number) for number in range(20)]
    await asyncio.gather(*writing)


async def test_a_closed_database_leaves_no_thread_behind(used: Folder) -> None:
    threads = threading.active_count()
    database = await Database.open(used)
    await database.write(note("hello"))
    await database.close()
    # It ends by itself once it has told that the connection is closed.
    eventually(lambda: threading.active_count() == threads)


async def test_a_damaged_database_is_refused_by_the_server_too(used: Folder) -> None:
    corrupt(used.database)
    threads = threading.active_count()
    with pytest.raises(DatabaseError, match="cannot be read"):
        await Database.open(used)
    # One that is left would talk to an event loop that is gone, and print a traceback.
    assert threading.active_count() == threads
