"""The outbox: recorded with what it tells of, claimed by one server, tried again, and never lost."""

import sqlite3
from typing import Any

import pytest

from aqueue.model.notification import Event, Kind, Message, Notify, Target
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, State
from aqueue.model.task import Retries
from aqueue.policy.notifications import MAX_PER_HOUR, MAX_TRIES
from aqueue.store.outbox import LEASE_SECONDS, Claimed, Undelivered
from tests.integration.recording import NOW, Book

PHONE = Target(name="phone", kind=Kind.NTFY, on=(Event.FAILED, Event.RECOVERED))
HOOK = Target(name="hook", kind=Kind.WEBHOOK, on=(Event.SUCCEEDED,))
CHECK = Target(name="check", kind=Kind.HEALTHCHECK)
LATER = NOW + 1.0


@pytest.fixture
def book(connection: sqlite3.Connection) -> Book:
    return Book(connection)


def end(book: Book, name: str = "train", code: int = 0, *targets: Target, **changes: Any) -> Run:
    """Have a run end, and record the messages about it."""
    book.add(name, **changes)
    (run,) = book.claim()
    ended = book.finish(run, code=code)
    assert ended is not None
    book.store.outbox.record(targets, (), [ended], LATER)
    return ended


def left(book: Book) -> list[tuple[str, str, str]]:
    """Return the messages that are not sent, each with its target, event and name."""
    return [(one.target, str(one.message.event), one.message.name) for one in book.store.outbox.undelivered()]


def claim(book: Book, *targets: Target, server: str = "server", now: float = LATER) -> list[Claimed]:
    return book.store.outbox.claim(server, targets, now)[0]


def test_each_target_is_told_of_what_it_wants_to_know_with_one_id_for_all(book: Book) -> None:
    end(book, "a", 1, PHONE, HOOK)
    end(book, "b", 0, PHONE, HOOK)
    end(book, "c", 0, PHONE, HOOK, notify=Notify(to=("phone", "hook")))
    assert left(book) == [("phone", "failed", "a"), ("hook", "succeeded", "b"), ("hook", "succeeded", "c")]
    end(book, "d", 1, PHONE, HOOK, notify=Notify(on=(Event.FAILED,)))
    first, second = [*book.store.outbox.undelivered()][-2:]
    assert {first.target, second.target} == {"phone", "hook"}
    assert first.message.id == second.message.id
    assert first.message.reason == "exit code 1"


def test_only_the_last_attempt_counts(book: Book) -> None:
    book.add("train", retries=Retries(limit=1))
    for code in (1, 3):
        (run,) = book.claim()
        ended = book.finish(run, code=code)
        assert ended is not None
        book.store.outbox.record([PHONE], [run], [ended], LATER)
    (message,) = book.store.outbox.undelivered()
    assert (message.message.reason, message.message.attempts) == ("exit code 3", 2)


def test_a_success_after_a_failure_is_told_once(book: Book) -> None:
    for code in (0, 1, 1, 0, 0):
        end(book, "nightly", code, PHONE)
    assert [event for _, event, _ in left(book)] == ["failed", "failed", "recovered"]


def test_a_run_that_is_retried_by_hand_recovers(book: Book) -> None:
    failed = end(book, "train", 1, PHONE)
    book.store.lifecycle.retry([failed])
    (run,) = book.claim()
    ended = book.finish(run)
    assert ended is not None
    book.store.outbox.record([PHONE], [run], [ended], LATER)
    assert [event for _, event, _ in left(book)] == ["failed", "recovered"]


def test_a_sweep_is_one_message_once_nothing_of_it_is_queued_or_running(book: Book) -> None:
    outbox = book.store.outbox
    for number in range(4):
        book.add(f"distil-{number}", group="distil")
    book.add("other", hold=True, group="distil")
    for number, code in enumerate((0, 1, 0)):
        (run,) = book.claim()
        ended = book.finish(run, code=code)
        assert ended is not None
        outbox.record([PHONE, HOOK], [run], [ended], LATER)
        assert outbox.record_groups([PHONE, HOOK], LATER) == 0, number
    (waiting,) = book.store.runs.select(states=[State.QUEUED])
    book.store.lifecycle.cancel(waiting, "cancelled", LATER)
    assert outbox.record_groups([PHONE, HOOK], LATER) == 1
    assert outbox.record_groups([PHONE, HOOK], LATER) == 0
    (one,) = outbox.undelivered()
    message = one.message
    assert (one.target, message.event, message.state) == ("phone", Event.GROUP, "failed")
    assert message.counts == {"succeeded": 2, "failed": 1, "aborted": 1}
    assert message.details == ("distil-1: exit code 1",)


def test_a_second_sweep_of_the_group_is_counted_for_itself(book: Book) -> None:
    for code in (1, 0):
        end(book, "distil-1", code, HOOK, group="distil")
        book.store.outbox.record_groups([HOOK], LATER)
        book.store.runs.forget([run.id for run in book.store.runs.select(states=[State.FAILED])])
    assert left(book) == [("hook", "group", "distil")]


def test_metrics_that_are_no_numbers_are_passed_over(book: Book) -> None:
    for name, loss in (("a", float("nan")), ("b", 0.25), ("c", 0.5)):
        book.add(name, group="all")
        (run,) = book.claim()
        outcome = Outcome(run=run, end=End.EXITED, exit_code=0, at=LATER, metrics={"loss": loss})
        ended = book.store.lifecycle.finish(outcome, "server")
        assert ended is not None
        book.store.outbox.record([HOOK], (), [ended], LATER)
    book.store.outbox.record_groups([HOOK], LATER)
    (one,) = book.store.outbox.undelivered()
    assert one.message.best == "loss 0.25"


def test_a_failure_long_ago_is_forgotten(book: Book) -> None:
    end(book, "nightly", 1, PHONE)
    book.store.outbox.forget(LATER + 1)
    end(book, "nightly", 0, PHONE)
    assert [event for _, event, _ in left(book)] == ["failed"]


def test_a_health_check_is_told_of_the_start_and_the_end(book: Book) -> None:
    book.add("nightly", notify=Notify(to=("check",)), retries=Retries(limit=1))
    book.add("other")
    for code in (1, 0, 1):
        (run,) = book.claim()
        book.store.outbox.record([CHECK, PHONE], [run], (), LATER)
        ended = book.finish(run, code=code)
        assert ended is not None
        book.store.outbox.record([CHECK], (), [ended], LATER)
    assert left(book) == [("check", "started", "nightly"), ("check", "succeeded", "nightly")]


def test_a_message_is_claimed_by_one_server_and_sent_once(book: Book) -> None:
    book.enter("server")
    book.enter("other")
    end(book, "a", 1, PHONE)
    end(book, "b", 1, PHONE)
    (one,) = claim(book, PHONE)
    assert (one.message.name, one.tries) == ("a", 1)
    assert claim(book, PHONE, server="other") == []
    book.store.outbox.sent(one.id, LATER)
    (two,) = claim(book, PHONE, server="other")
    assert two.message.name == "b"
    book.store.outbox.sent(two.id, LATER)
    assert claim(book, PHONE) == []
    assert left(book) == []


def test_a_message_whose_server_has_died_is_sent_by_the_next_with_the_same_id(book: Book) -> None:
    book.enter("server")
    end(book, "a", 1, PHONE)
    (one,) = claim(book, PHONE)
    assert claim(book, PHONE, server="heir") == []
    book.store.servers.leave("server")
    (again,) = claim(book, PHONE, server="heir")
    assert again == one._replace(tries=2)


def test_a_message_whose_server_does_not_say_what_became_of_it_is_sent_again(book: Book) -> None:
    book.enter("server")
    end(book, "a", 1, PHONE)
    claim(book, PHONE)
    assert claim(book, PHONE, now=LATER + LEASE_SECONDS - 1) == []
    (again,) = claim(book, PHONE, now=LATER + LEASE_SECONDS)
    assert again.tries == 2


def test_what_cannot_be_sent_is_tried_five_times_and_then_kept_with_its_error(book: Book) -> None:
    book.enter("server")
    end(book, "a", 1, PHONE)
    now: float | None = LATER
    for tries in range(1, MAX_TRIES + 1):
        assert now is not None
        (one,) = claim(book, PHONE, now=now)
        assert one.tries == tries
        now = book.store.outbox.failed(one, "answers HTTP 500", now)
    assert now is None
    (kept,) = book.store.outbox.undelivered()
    assert kept == Undelivered("phone", one.message, None, MAX_TRIES, "answers HTTP 500")
    assert claim(book, PHONE, now=LATER + 6 * 86400) == []
    assert left(book) != []
    claim(book, PHONE, now=LATER + 8 * 86400)
    assert left(book) == []


def test_too_many_become_one_with_all_their_facts(book: Book) -> None:
    book.enter("server")
    for number in range(MAX_PER_HOUR + 5):
        message = Message(id=f"{number}", event=Event.FAILED, at=NOW, name=f"run-{number}", state="failed")
        book.store.outbox.add("phone", message, NOW)
    for _ in range(MAX_PER_HOUR):
        (one,) = claim(book, PHONE)
        book.store.outbox.sent(one.id, LATER)
    claimed, next_at = book.store.outbox.claim("server", [PHONE], LATER)
    assert claimed == []
    assert next_at == LATER + 600
    (bundle,) = claim(book, PHONE, now=next_at)
    assert bundle.message.event is Event.BUNDLE
    assert [one.id for one in bundle.message.messages] == [str(number) for number in range(20, 25)]
    book.store.outbox.failed(bundle, "no", next_at)
    (again,) = claim(book, PHONE, now=next_at + 30)
    assert again.message == bundle.message


def test_a_target_that_is_no_longer_configured_gets_nothing(book: Book) -> None:
    end(book, "a", 1, PHONE)
    assert claim(book, HOOK) == []
    (kept,) = book.store.outbox.undelivered()
    assert (kept.due_at, kept.error) == (None, "aqueue.yaml has no such target any more")


def test_messages_move_with_the_wall_clock(book: Book) -> None:
    book.store.servers.follow_set_clock("boot", 0.0)
    end(book, "a", 1, PHONE)
    book.store.servers.follow_set_clock("boot", -5000.0)
    assert len(claim(book, PHONE, now=LATER - 5000)) == 1


def test_a_run_that_never_began_says_nothing(book: Book) -> None:
    book.add("train", group="all")
    (run,) = book.claim()
    ended = book.finish(run, End.NEVER_STARTED, code=None)
    assert ended is not None
    book.store.outbox.record([PHONE], (), [ended], LATER)
    assert left(book) == []
