"""The stored servers: those that are up, requests to them, and takeovers."""

import sqlite3

import pytest

from aqueue.model.run import State
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from tests.integration.recording import NOW, Book


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def test_a_server_comes_lives_and_goes(book: Book) -> None:
    book.enter("a")
    book.store.servers.beat("a", Limits(jobs=3), NOW + 5)
    (server,) = book.store.servers.all()
    assert (server.id, server.jobs, server.heartbeat_at) == ("a", 3, NOW + 5)
    book.store.servers.leave("a")
    assert book.store.servers.all() == []
    assert book.store.servers.get("a") is None


@pytest.mark.parametrize("queues", [None, (), ("gpu", "batch")])
def test_a_server_is_remembered_with_all_that_it_says(book: Book, queues: tuple[str, ...] | None) -> None:
    server = Server(
        id="a",
        pid=7,
        boot="b",
        jobs=2,
        started_at=NOW,
        heartbeat_at=NOW + 1,
        queues=queues,
        log="/w/a.log",
        wanted_at=NOW + 2,
        leaving=Leaving.AT_ONCE,
        raised_to=4,
    )
    book.store.servers.enter(server)
    assert book.store.servers.all() == [server] == [book.server("a")]


# Adopting


def test_runs_of_servers_that_are_gone_are_adopted(book: Book) -> None:
    for server in ("gone", "alive", "heir"):
        book.enter(server, boot=f"boot of {server}")
        book.add(server)
        book.claim(server)
    ((run, boot),) = book.store.servers.adopt("heir", {"alive", "heir"}, {"gone"})
    assert (run.name, run.server, boot) == ("gone", "heir", "boot of gone")
    assert book.get(run) == run
    assert [server.id for server in book.store.servers.all()] == ["alive", "heir"]
    assert book.store.servers.adopt("heir", {"alive", "heir"}, set()) == []
    assert book.finish(run, server="gone") is None
    assert book.finish(run, server="heir") is not None


def test_runs_of_a_silent_server_are_adopted_and_it_is_not_forgotten(book: Book) -> None:
    for server in ("silent", "heir"):
        book.enter(server)
    book.add()
    (run,) = book.claim("silent")
    assert book.store.servers.running_on("silent") == {(run.id, 1)}
    book.store.servers.adopt("heir", {"heir"}, set())
    assert [server.id for server in book.store.servers.all()] == ["heir", "silent"]
    assert book.store.servers.running_on("silent") == set()
    assert book.store.servers.running_on("heir") == {(run.id, 1)}
    assert book.finish(run, server="silent") is None
    assert book.get(run).state is State.RUNNING


def test_a_run_of_a_server_that_left_is_adopted_too(book: Book) -> None:
    book.enter("left")
    book.add()
    book.claim("left")
    book.store.servers.leave("left")
    ((run, boot),) = book.store.servers.adopt("heir", {"heir"}, set())
    assert (run.server, boot) == ("heir", "")


def test_a_run_whose_executor_the_heir_lacks_stays_with_its_server(book: Book) -> None:
    for server in ("gone", "silent", "heir"):
        book.enter(server)
        book.add(server, queue=server)
    for server in ("gone", "silent"):
        book.store.claims.claim(server, Limits(serves=[server]), NOW, executor="slurm")
    assert book.store.servers.adopt("heir", {"heir"}, {"gone"}) == []
    (left,) = book.store.servers.left_behind()
    assert (left.server, left.reason) == (
        "gone",
        "its server is gone; it waits for one that has its executor 'slurm'",
    )
    (silent,) = [run for run in book.store.runs.in_state(State.RUNNING) if run.server == "silent"]
    assert silent.reason is None, "its server may go on"
    # The other way round, too.
    book.claim("heir")
    assert [run.id for run, _ in book.store.servers.adopt("s", {"s"}, (), executor="slurm")] == [
        left.id,
        silent.id,
    ]
    assert book.get(left).reason is None
    assert book.store.servers.left_behind() == []


def test_an_adopted_run_fills_its_queue_and_counts_as_a_job_of_the_heir(book: Book) -> None:
    for name in ("same", "same", "other"):
        book.add(name)
    book.claim("gone")
    book.store.servers.adopt("heir", {"heir"}, {"gone"})
    assert book.claim("heir") == []
    assert [run.name for run in book.claim("heir", jobs=2)] == ["other"]


# What others ask of it


def test_a_server_is_asked_for_more_jobs_and_never_for_fewer(book: Book) -> None:
    assert book.enter("a", jobs=2).max_jobs == 2
    book.store.servers.ask_to_stay("a", 5, 10.0, NOW + 1)
    assert (book.server("a").max_jobs, book.server("a").wanted_at) == (5, NOW + 1)
    book.store.servers.ask_to_stay("a", 3, 10.0, NOW + 2)
    assert (book.server("a").max_jobs, book.server("a").wanted_at) == (5, NOW + 2)
    book.store.servers.beat("a", Limits(jobs=2), NOW + 3)
    asked = book.server("a")
    assert (asked.jobs, asked.raised_to, asked.max_jobs) == (2, 5, 5)
    book.store.servers.beat("a", Limits(jobs=8), NOW + 4)
    assert book.server("a").max_jobs == 8


def test_a_server_is_told_to_leave_and_then_to_leave_at_once_but_not_the_other_way_round(book: Book) -> None:
    assert book.enter("a").leaving is None
    for told, leaving in (
        (Leaving.WHEN_DONE, Leaving.WHEN_DONE),
        (Leaving.AT_ONCE, Leaving.AT_ONCE),
        (Leaving.WHEN_DONE, Leaving.AT_ONCE),
    ):
        book.store.servers.ask_to_leave("a", told)
        assert book.server("a").leaving is leaving


def test_only_the_server_that_is_told_to_leave_does(book: Book) -> None:
    for server in ("a", "b"):
        book.enter(server)
    book.store.servers.ask_to_leave("a", Leaving.WHEN_DONE)
    assert [server.id for server in book.store.servers.all() if server.serves("q")] == ["b"]


@pytest.mark.parametrize("told", Leaving)
def test_a_server_that_was_told_to_leave_is_given_no_more_runs(book: Book, told: Leaving) -> None:
    for server in ("a", "b"):
        book.enter(server)
    book.add()
    book.store.servers.ask_to_leave("a", told)
    assert book.claim("a") == []
    assert [run.id for run in book.claim("b")] == [1]


# Leaving when idle


def test_a_server_without_work_leaves(book: Book) -> None:
    server = book.enter("a")
    book.in_state(State.HELD)
    book.in_state(State.SUCCEEDED, "over")
    assert book.store.prospects.leave_if_idle(server, Limits(), NOW)
    assert book.server("a").leaving is Leaving.WHEN_DONE


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_a_server_stays_for_work_that_has_come_meanwhile(book: Book, state: State) -> None:
    server = book.enter("a")
    book.in_state(state)
    assert not book.store.prospects.leave_if_idle(server, Limits(), NOW)
    assert book.server("a").leaving is None


def test_a_server_does_not_stay_for_work_that_others_serve(book: Book) -> None:
    server = book.enter("a", queues=("ours",))
    book.add("theirs")
    assert book.store.prospects.leave_if_idle(server, Limits(serves=server.queues), NOW)


def test_a_server_stays_that_was_asked_for_meanwhile(book: Book) -> None:
    server = book.enter("a")
    book.store.servers.ask_to_stay("a", 0, 10.0, NOW + 1)
    assert not book.store.prospects.leave_if_idle(server, Limits(), NOW + 2)
    assert book.store.prospects.leave_if_idle(book.server("a"), Limits(), NOW + 2)


def test_a_server_that_was_told_to_leave_at_once_is_not_told_to_take_its_time(book: Book) -> None:
    server = book.enter("a")
    book.store.servers.ask_to_leave("a", Leaving.AT_ONCE)
    assert not book.store.prospects.leave_if_idle(server, Limits(), NOW)
    assert book.server("a").leaving is Leaving.AT_ONCE
