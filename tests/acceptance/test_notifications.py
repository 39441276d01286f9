"""Somebody is told how runs end: once, also if a server dies, and without a secret in sight."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.driving import Place
from tests.receivers import HttpReceiver, receiving
from tests.waiting import eventually

SECRET = "open-sesame-4711"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with receiving() as receiver:
        yield receiver


def configure(place: Place, *targets: str) -> None:
    place.drop("aqueue.yaml", "\n".join(["notify:", *(f"  - {{{target}}}" for target in targets), ""]))


def facts(receiver: HttpReceiver) -> list[tuple[str, str]]:
    return [(found["event"], found["title"]) for found in map(json.loads, (r.content for r in receiver.requests))]


def test_a_sweep_and_runs_are_told_of_and_a_secret_is_nowhere(place: Place, receiver: HttpReceiver) -> None:
    configure(
        place, f"name: hook, webhook: '{receiver.url}/${{TOPIC}}', secret: '${{TOPIC}}', on: [failed, group]"
    )
    place.environment["TOPIC"] = SECRET
    place.task("distil", 'echo "AQUEUE_METRIC acc=0.9$seed"; exit $((seed == 3))', "matrix: {seed: [1, 2, 3]}")
    place.task("flaky", "exit 3", "retries: 1")
    place.task("quiet", "exit 4", "notify: never")
    place.task("asked", "true", "notify: [succeeded, hook]")
    assert place.ask("serve", "--drain").returncode == 1
    told = dict(facts(receiver))
    assert len(receiver.requests) == 3
    assert told["failed"] == "flaky failed"
    assert told["succeeded"] == "asked succeeded"
    assert told["group"].startswith("distil: 2 ok, 1 failed, best acc 0.92, ")
    assert {request.path for request in receiver.requests} == {f"/{SECRET}"}
    receiver.answers += [401]
    said = place.refuse("notify", "test", "hook", code=1)
    assert "hook: 127.0.0.1 answers HTTP 401" in said
    assert "sent to hook" in place.run("notify", "test", "hook")
    printed = said + place.run("ls", "--json") + place.run("show", "1", "--json") + place.run("notify", "ls")
    assert SECRET not in printed
    holding = [path for path in place.base.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert holding == []


def test_a_message_outlives_kill_9_and_comes_at_most_twice(place: Place, receiver: HttpReceiver) -> None:
    receiver.may_answer.clear()
    configure(place, f"name: hook, webhook: '{receiver.url}', on: failed")
    server = place.serve()
    place.task("train", "exit 3")
    eventually(lambda: receiver.requests)
    server.kill()
    receiver.may_answer.set()
    place.serve("--drain", wait=False).ends()
    first, *others = receiver.requests
    assert [request.headers["X-Aqueue-Event-Id"] for request in others] == [first.headers["X-Aqueue-Event-Id"]]


def test_one_run_is_told_of_and_whoever_waits_tells_of_many(place: Place, receiver: HttpReceiver) -> None:
    configure(place, f"name: hook, webhook: '{receiver.url}'", "name: broken, command: 'exit 3'")
    place.add("exit 3", "-n", "told", "--notify", "failed,hook")
    place.add("true", "-n", "untold", "--notify", "failed,hook")
    assert "did you mean hook?" in place.refuse("add", "--notify", "hok", "true", code=2)
    place.drain()
    assert facts(receiver) == [("failed", "told failed")]
    receiver.answers += [500]
    place.add("exit 3", "-n", "lost", "--notify", "hook")
    place.drain()
    (unsent,) = json.loads(place.run("notify", "ls", "--json"))["not_sent"]
    assert (unsent["title"], unsent["tries"], unsent["error"]) == ("lost failed", 1, "127.0.0.1 answers HTTP 500")
    assert "'lost failed' is not sent yet after 1 try: 127.0.0.1 answers HTTP 500" in place.run("notify", "ls")
    waited = place.ask("wait", "1", "2", "--notify", "hook", "--notify", "broken")
    assert waited.returncode == 1
    assert waited.stderr == "warning: notify broken: the command ended with exit code 3\n"
    assert [title.partition(", 1 failed")[0] for _, title in facts(receiver)[2:]] == ["2 runs: 1 ok"]


def test_a_typing_error_is_refused_where_it_stands(place: Place) -> None:
    configure(place, "name: phone, command: 'true'")
    place.drop("train.yaml", "command: x\nnotify: phnoe\n")
    place.drain()
    said = Path(place.folder / "rejected" / "train.yaml.error").read_text()
    assert "train.yaml:2:9: notify: there is no target named phnoe" in said
    assert "did you mean phone?" in said
    assert "there is no target named phnoe" in place.refuse("notify", "test", "phnoe", code=2)
