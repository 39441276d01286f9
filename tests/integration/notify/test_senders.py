"""Each kind of target gets a message in its own form."""

import base64
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from aqueue.model.notification import Event, Kind, Message, Target
from aqueue.notify.delivery import deliver_blocking
from tests.receivers import HttpReceiver, SmtpReceiver, receiving, receiving_mail

FAILED = Message(
    id="0f3a", event=Event.FAILED, at=0.0, name="train", state="failed", run=42, reason="exit code 3", exit_code=3
)
STARTED = Message(id="0f3b", event=Event.STARTED, at=0.0, name="train", state="running", run=42)
SUCCEEDED = Message(id="0f3c", event=Event.SUCCEEDED, at=0.0, name="train", state="succeeded", exit_code=0)
LOST = Message(id="0f3d", event=Event.FAILED, at=0.0, name="train", state="failed", reason="lost")
TEST = Message(id="0f3e", event=Event.TEST, at=0.0)


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def mails() -> Iterator[SmtpReceiver]:
    with receiving_mail() as mails:
        yield mails


def mail_to(mails: SmtpReceiver, **options: str) -> Target:
    return Target(
        name="mail",
        kind=Kind.SMTP,
        address=mails.url,
        recipients=("a@example.org", "b@example.org"),
        options={"sender": "queue@example.org", **options},
    )


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_ntfy_gets_a_title_and_a_text(folder: Folder, receiver: HttpReceiver) -> None:
    target = Target(name="a", kind=Kind.NTFY, address=f"{receiver.url}/topic", options={"token": "tk_1"})
    assert deliver_blocking(folder, target, FAILED) is None
    assert deliver_blocking(folder, target, SUCCEEDED) is None
    first, second = receiver.requests
    assert (first.path, first.headers["Title"], first.headers["Priority"]) == ("/topic", "train failed", "high")
    assert first.headers["Authorization"] == "Bearer tk_1"
    assert first.content.decode().startswith("exit code 3\nrun 42\non ")
    assert second.headers["Priority"] == "default"


def test_a_health_check_gets_the_start_and_the_exit_code(folder: Folder, receiver: HttpReceiver) -> None:
    target = Target(name="a", kind=Kind.HEALTHCHECK, address=f"{receiver.url}/uuid/?rid=1")
    for message in (STARTED, FAILED, SUCCEEDED, LOST, TEST):
        assert deliver_blocking(folder, target, message) is None
    assert receiver.paths == [f"/uuid/{signal}?rid=1" for signal in ("start", "3", "0", "fail", "log")]


def test_a_mail_goes_to_all_recipients(folder: Folder, mails: SmtpReceiver) -> None:
    assert deliver_blocking(folder, mail_to(mails, user="me", password="open-sesame"), FAILED) is None
    (mail,) = mails.mails
    head, _, text = mail.partition("\n\n")
    assert {"Subject: train failed", "From: queue@example.org"} < set(head.splitlines())
    assert text.startswith("exit code 3\nrun 42\n")
    # Pythons differ in how they write this.
    assert [line.lower() for line in mails.lines if line.lower().startswith("rcpt")] == [
        "rcpt to:<a@example.org>",
        "rcpt to:<b@example.org>",
    ]
    (login,) = [line for line in mails.lines if line.startswith("AUTH")]
    assert base64.b64decode(login.split()[-1]) == b"\0me\0open-sesame"


@pytest.mark.parametrize(
    ("refuses", "error"),
    [
        ("AUTH", "127.0.0.1 refuses the user or the password"),
        ("MAIL", "127.0.0.1 answers 535"),
        ("RCPT", "127.0.0.1 refuses the recipients"),
    ],
)
def test_a_mail_server_that_refuses_is_named_without_its_words(
    folder: Folder, mails: SmtpReceiver, refuses: str, error: str
) -> None:
    mails.refuses = refuses
    assert deliver_blocking(folder, mail_to(mails, user="me", password="open-sesame"), FAILED) == error


def test_a_mail_server_that_is_not_there_is_named(folder: Folder) -> None:
    target = Target(name="a", kind=Kind.SMTP, address="smtp://127.0.0.1:1", recipients=("a@example.org",))
    assert deliver_blocking(folder, target, FAILED) == "127.0.0.1 cannot be reached: Connection refused"


def test_the_desktop_is_told_by_notify_send(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    program(tmp_path, "notify-send", f'printf "%s|" "$@" >{tmp_path}/said')
    target = Target(name="a", kind=Kind.DESKTOP)
    assert deliver_blocking(folder, target, FAILED) is None
    options, _, words = (tmp_path / "said").read_text().partition("|--|")
    assert options == "--app-name=aqueue|--urgency=critical"
    assert words.startswith("train failed|exit code 3\nrun 42\n")
    program(tmp_path, "notify-send", "exit 1")
    assert "has this server a desktop?" in str(deliver_blocking(folder, target, FAILED))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert "notify-send cannot be started" in str(deliver_blocking(folder, target, FAILED))


def test_apprise_is_used_if_it_is_there(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(name="a", kind=Kind.APPRISE, address="tgram://bot/chat")
    (tmp_path / "apprise.py").write_text(
        "class Apprise:\n"
        "    def add(self, url): self.url = url; return '://' in url\n"
        "    def notify(self, title, body, notify_type):\n"
        f"        open({str(tmp_path / 'said')!r}, 'w').write(f'{{self.url}} {{title}} {{notify_type}}')\n"
        "        return title != 'train succeeded'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert deliver_blocking(folder, target, FAILED) is None
    assert (tmp_path / "said").read_text() == "tgram://bot/chat train failed failure"
    assert deliver_blocking(folder, target, SUCCEEDED) == "Apprise could not send it"
    unknown = Target(name="a", kind=Kind.APPRISE, address="nonsense")
    assert deliver_blocking(folder, unknown, FAILED) == "Apprise does not know this URL"
    (tmp_path / "apprise.py").write_text("raise ImportError")
    assert "pip install apprise" in str(deliver_blocking(folder, target, FAILED))
    assert str(tmp_path) in sys.path
