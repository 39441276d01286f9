"""Messages in words."""

from aqueue.model.notification import Event, Message
from aqueue.notify.texts import as_json, text, title

FAILED = Message(
    id="abc",
    event=Event.FAILED,
    at=0.0,
    name="train",
    state="failed",
    run=42,
    reason="exit code 1: ValueError: no",
    attempts=3,
    seconds=123.0,
)


def test_a_message_about_a_run_says_why_it_failed() -> None:
    assert title(FAILED) == "train failed"
    assert text(FAILED, "box") == "exit code 1: ValueError: no\nrun 42, 2m3s, 3 attempts\non box"


def test_a_message_about_a_sweep_is_one_line_that_says_all() -> None:
    counts = {"succeeded": 46, "failed": 2}
    message = Message(
        id="abc",
        event=Event.GROUP,
        at=0.0,
        name="distil",
        state="failed",
        counts=counts,
        best="acc 0.96",
        seconds=720.0,
        details=("distil-3: exit code 1",),
    )
    assert title(message) == "distil: 46 ok, 2 failed, best acc 0.96, 12m"
    assert text(message, "box") == "distil-3: exit code 1\nand 1 more failed\non box"


def test_a_bundle_has_all_facts_of_its_messages() -> None:
    bundle = Message(id="b", event=Event.BUNDLE, at=0.0, messages=(FAILED,) * 25)
    assert title(bundle) == "aqueue: 25 messages, 25 of failures"
    assert text(bundle, "box").splitlines()[-2:] == ["and 5 more", "on box"]
    assert [one["id"] for one in as_json(bundle, "box", "/queue")["messages"]] == ["abc"] * 25


def test_facts_that_a_message_lacks_are_null() -> None:
    facts = as_json(FAILED, "box", "/queue")
    assert facts["time"] == "1970-01-01T00:00:00.000Z"
    assert facts["counts"] is facts["messages"] is facts["exit_code"] is None
