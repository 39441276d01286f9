"""Messages are sent by a process of their own, to nobody but the target, and no error has a secret in it."""

import hashlib
import hmac
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from aqueue.model.notification import Event, Kind, Message, Target
from aqueue.notify import delivery
from aqueue.notify.delivery import deliver, deliver_blocking
from aqueue.processes import is_alive
from tests.receivers import HttpReceiver, receiving
from tests.waiting import eventually

MESSAGE = Message(
    id="0f3a", event=Event.FAILED, at=0.0, name="train", state="failed", run=42, reason="exit code 1"
)


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with receiving() as receiver:
        yield receiver


def to(kind: Kind, address: str | tuple[str, ...], **options: str) -> Target:
    return Target(name="a", kind=kind, address=address, options=options)


async def test_a_webhook_gets_the_facts_signed(
    folder: Folder, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "sesame")
    target = to(Kind.WEBHOOK, f"{receiver.url}/hook", secret="${HOOK_SECRET}", token="t0ken")
    assert await deliver(folder, target, MESSAGE) is None
    (request,) = receiver.requests
    assert request.path == "/hook"
    assert request.headers["X-Aqueue-Event"] == "failed"
    assert request.headers["X-Aqueue-Event-Id"] == "0f3a"
    assert request.headers["Authorization"] == "Bearer t0ken"
    signature = hmac.new(b"sesame", request.content, hashlib.sha256).hexdigest()
    assert request.headers["X-Aqueue-Signature"] == f"sha256={signature}"
    facts = json.loads(request.content)
    assert (facts["id"], facts["run"], facts["reason"]) == ("0f3a", 42, "exit code 1")
    assert facts["folder"] == str(folder.path)


def test_a_command_gets_the_facts_in_its_environment_and_its_standard_input(folder: Folder) -> None:
    said = 'printf "%s|%s|" "$AQUEUE_NOTIFY_TITLE" "$AQUEUE_NOTIFY_EXIT_CODE" >said; cat >>said'
    assert deliver_blocking(folder, to(Kind.COMMAND, said), MESSAGE) is None
    title, code, facts = (folder.parent / "said").read_text().split("|", 2)
    assert (title, code, json.loads(facts)["name"]) == ("train failed", "", "train")


def test_what_a_run_says_is_never_part_of_a_shell_command(folder: Folder) -> None:
    message = Message(id="1", event=Event.FAILED, at=0.0, name="a", reason="$(touch hacked); `touch hacked` ' \"")
    command = to(Kind.COMMAND, 'printf %s "$AQUEUE_NOTIFY_REASON" >said')
    assert deliver_blocking(folder, command, message) is None
    assert (folder.parent / "said").read_text() == message.reason
    assert not (folder.parent / "hacked").exists()


def test_a_list_runs_without_a_shell(folder: Folder) -> None:
    program = "import os; open('said', 'w').write(os.environ['AQUEUE_NOTIFY_NAME'])"
    assert deliver_blocking(folder, to(Kind.COMMAND, (sys.executable, "-c", program)), MESSAGE) is None
    assert (folder.parent / "said").read_text() == "train"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("exit 3", "the command ended with exit code 3"),
        ("kill -9 $$", "the command was killed by signal 9"),
        (("./nowhere",), "the command cannot be started: No such file or directory"),
    ],
)
def test_a_command_that_fails_says_how(folder: Folder, command: str | tuple[str, ...], error: str) -> None:
    assert deliver_blocking(folder, to(Kind.COMMAND, command), MESSAGE) == error


async def test_an_error_names_the_host_alone(
    folder: Folder, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPIC", "secret-topic")
    target = to(Kind.WEBHOOK, f"{receiver.url}/${{TOPIC}}", token="t0ken")
    receiver.answers += [403, 302]
    assert await deliver(folder, target, MESSAGE) == "127.0.0.1 answers HTTP 403"
    assert await deliver(folder, target, MESSAGE) == "127.0.0.1 redirects to another URL"
    assert receiver.paths == ["/secret-topic"] * 2
    receiver.close()
    assert await deliver(folder, target, MESSAGE) == "127.0.0.1 cannot be reached: Connection refused"
    bad = to(Kind.WEBHOOK, f"{receiver.url}/x", token="new\nline")
    assert await deliver(folder, bad, MESSAGE) == (
        "the request to 127.0.0.1 is not valid, or its answer is not HTTP"
    )


async def test_a_missing_secret_is_named_and_no_file_is_sent_for_a_url(folder: Folder) -> None:
    assert await deliver(folder, to(Kind.WEBHOOK, "${NO_HOOK}"), MESSAGE) == (
        "NO_HOOK is not set in the environment"
    )
    (folder.path / "hook").write_text("file:///etc/passwd")
    assert await deliver(folder, to(Kind.WEBHOOK, "${file:hook}"), MESSAGE) == (
        "this is not a URL that begins with http:// or https://"
    )


async def test_what_takes_too_long_is_killed_with_all_that_it_started(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SECONDS", 1.0)
    command = to(Kind.COMMAND, "sleep 60 & echo $! >pid; wait")
    error = await deliver(folder, command, MESSAGE)
    assert error is not None
    assert "was not sent within" in error
    pid = int(Path(folder.parent / "pid").read_text())
    eventually(lambda: not is_alive(pid))
