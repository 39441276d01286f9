"""Nobody waits for ever for what only a person can have started: what is left is said, with its reason."""

from collections.abc import Callable

import pytest

from tests.acceptance.background import start
from tests.acceptance.driving import Place
from tests.acceptance.gpu_company import card, cards_of
from tests.waiting import eventually

LEFT = {
    "held": "held; `aqueue release 1` queues it",
    "then": "waits for run 1",
    "paused": "queue lane is paused; `aqueue resume lane` resumes it",
    "huge": "asks for 8 GPUs, but there are only 2",
}


def stuck(place: Place) -> None:
    """Have a run for each reason for which one cannot start by itself."""
    place.init()
    cards_of(place, card(0), card(1))
    place.add("true", "-n", "held", "--hold")
    place.add("true", "-n", "then", "--after", "held")
    place.run("pause", "lane")
    place.add("true", "-n", "paused", "-u", "lane")
    place.add("true", "-n", "huge", "--gpus", "8")


def test_drain_ends_when_all_that_is_left_needs_a_person_and_says_why(place: Place) -> None:
    stuck(place)
    place.add("true", "-n", "small", "--gpus", "1")
    printed = place.drain()
    for id_, (name, why) in enumerate(LEFT.items(), 1):
        assert f"run {id_} {name} is left: {why}\n" in printed
    rows = place.rows()
    assert [rows[name]["state"] for name in (*LEFT, "small")] == ["held", *["queued"] * 3, "succeeded"]


def test_an_idle_timeout_ends_a_server_in_the_background_all_the_same(place: Place) -> None:
    stuck(place)
    server = start(place, "--idle-timeout", "0.2s")
    eventually(lambda: server.is_gone, 10.0)
    assert "run 4 huge is left: asks for 8 GPUs, but there are only 2" in server.log.read_text()


def test_wait_ends_with_1_when_all_that_is_left_needs_a_person_and_says_why(place: Place) -> None:
    stuck(place)
    place.serve()
    place.task("done", "true")
    place.becomes("done", "succeeded")
    waited = place.ask("wait", "1", "2", "3", "4", "5")
    assert waited.returncode == 1
    assert waited.stdout.startswith("5 done succeeded")
    said = [f"run {id_} {name} cannot start: {why}" for id_, (name, why) in enumerate(LEFT.items(), 1)]
    assert waited.stderr.splitlines() == said
    assert place.ask("wait").returncode == 1


def test_what_wait_waits_for_may_be_released_later(place: Place) -> None:
    place.serve()
    place.add("true", "--hold")
    assert place.ask("wait", "-q", "1").stderr == ""
    place.run("release", "1")
    assert place.run("wait", "1").startswith("1 ")


@pytest.mark.parametrize(("command", "code"), [("exit 3", 1), ("test $AQUEUE_ATTEMPT = 2", 0), ("true", 0)])
def test_drain_exits_with_1_if_a_run_has_failed_for_good(place: Place, command: str, code: int) -> None:
    place.init()
    place.task("job", command, *(["retries: 1"] if "ATTEMPT" in command else []))
    assert place.serve("--drain", wait=False).ends() == code


def is_held(place: Place) -> None:
    place.add("true", "--hold")


def is_left(place: Place) -> None:
    place.run("pause", "lane")
    place.add("true", "-u", "lane")


def is_rejected(place: Place) -> None:
    place.drop("bad.yaml", "comand: 'true'\n")


@pytest.mark.parametrize(("make", "code"), [(is_held, 0), (is_left, 1), (is_rejected, 1)])
def test_drain_exits_with_1_if_a_run_is_left_queued_or_a_file_was_rejected(
    place: Place, make: Callable[[Place], None], code: int
) -> None:
    place.init()
    make(place)
    assert place.serve("--drain", wait=False).ends() == code


def test_drain_exits_with_0_once_what_had_failed_has_succeeded_or_failed_before_it(place: Place) -> None:
    place.task("old", "exit 3")
    place.drain()
    assert place.serve("--drain", wait=False).ends() == 0
