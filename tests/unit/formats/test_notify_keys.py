"""The key `notify`, in `aqueue.yaml` and in tasks."""

import pytest

from aqueue.errors import FileError
from aqueue.formats import config_keys, task_file
from aqueue.formats.given_tasks import read
from aqueue.model.config import Config
from aqueue.model.notification import Event, Kind, Notify, Target
from aqueue.model.task import Task

TARGETS = """\
notify:
  - {name: phone, ntfy: "https://ntfy.sh/top", token: "${TOKEN}", on: [failed, group]}
  - {name: hook, webhook: "${HOOK}", secret: "${file:secret}"}
  - {name: mail, smtp: "smtps://mail.example", to: [a@example, b@example], sender: q@example}
  - {name: script, command: [./tell, "a b"], on: failed}
"""


def configured(text: str) -> Config:
    return config_keys.parse(text, "aqueue.yaml")


def refused(text: str) -> str:
    with pytest.raises(FileError) as caught:
        configured(text)
    return caught.value.text()


def notify_of(written: str, config: Config | None = None) -> Notify | None:
    defaults = (config or configured(TARGETS)).task_defaults(name="t", queue=None, working_dir="/", base="/")
    (task,) = task_file.parse(f"command: x\nnotify: {written}\n", "t.yaml", defaults).tasks
    return task.notify


def test_targets_are_kept_as_they_are_written() -> None:
    assert configured(TARGETS).notify == (
        Target(
            name="phone",
            kind=Kind.NTFY,
            address="https://ntfy.sh/top",
            on=(Event.FAILED, Event.GROUP),
            options={"token": "${TOKEN}"},
        ),
        Target(name="hook", kind=Kind.WEBHOOK, address="${HOOK}", options={"secret": "${file:secret}"}),
        Target(
            name="mail",
            kind=Kind.SMTP,
            address="smtps://mail.example",
            options={"sender": "q@example"},
            recipients=("a@example", "b@example"),
        ),
        Target(name="script", kind=Kind.COMMAND, address=("./tell", "a b"), on=(Event.FAILED,)),
    )


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("{name: a}", "1:10: notify: target a says nothing about how to reach it"),
        ("{name: a, desktop: true, ntfy: 'https://SECRET'}", "notify: target a has both ntfy and desktop"),
        ("{name: a, desktop: true, token: SECRET}", "notify: token is no option of desktop"),
        ("{name: a, ntfy: SECRET}", "1:26: notify.ntfy: expected a URL that begins with https://"),
        ("{name: a, ntfy: [SECRET]}", "expected a URL, perhaps with ${NAME} or ${file:PATH} in it, got a list"),
        ("{name: a, webhook: 'file:///SECRET'}", "notify.webhook: expected a URL"),
        ("{name: a, smtp: 'smtp://SECRET'}", "notify: target a lacks 'to'"),
        ("{name: a, desktop: SECRET}", "notify.0.desktop: expected true, got text"),
        ("{name: a, desktop: false}", "notify.desktop: expected true"),
        ("{name: a, desktop: true, on: [SECRET]}", "notify.0.on.0: expected failed, succeeded, recovered"),
        ("{name: failed, desktop: true}", "notify.name: this cannot be the name of a target"),
        ("{name: a, ntffy: SECRET}", "did you mean 'ntfy'?"),
        ("{name: a, desktop: true}, {name: a, desktop: true}", "notify: target a is configured twice"),
        ("SECRET", "notify.0: expected a list such as"),
    ],
)
def test_an_error_says_what_is_wrong_and_shows_no_address(target: str, problem: str) -> None:
    said = refused(f"notify: [{target}]")
    assert problem in said
    assert "SECRET" not in said


def test_a_wrong_value_is_one_error() -> None:
    with pytest.raises(FileError) as caught:
        configured("notify: [{name: a, ntfy: [x]}, {name: b, desktop: 3}, {name: c, smtp: x, to: y}]")
    assert len(caught.value.problems()) == 3


def test_the_address_of_a_target_is_in_no_traceback() -> None:
    assert "top" not in repr(configured(TARGETS))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("failed", Notify(on=(Event.FAILED,))),
        ("phone", Notify(to=("phone",))),
        ("[failed, phone, hook]", Notify(on=(Event.FAILED,), to=("phone", "hook"))),
        ("{on: [failed, recovered], to: phone}", Notify(on=(Event.FAILED, Event.RECOVERED), to=("phone",))),
        ("{on: group}", Notify(on=(Event.GROUP,))),
        ("never", Notify(on=())),
        ("[]", Notify(on=())),
    ],
)
def test_a_task_names_events_and_targets(written: str, meant: Notify) -> None:
    assert notify_of(written) == meant
    task = Task(name="t", command="x", working_dir="/", notify=meant)
    assert read(task, "/").notify == meant


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("phnoe", "t.yaml:2:9: notify: there is no target named phnoe\ndid you mean phone?"),
        ("{to: [zzz]}", "targets in aqueue.yaml: phone, hook, mail, script"),
        ("[never, failed]", "write `never` alone"),
        ("{on: soon}", "notify.on: expected failed, succeeded, recovered or group"),
        ("{onn: failed}", "did you mean 'on'?"),
    ],
)
def test_a_wrong_word_in_a_task_is_an_error(written: str, problem: str) -> None:
    with pytest.raises(FileError) as caught:
        notify_of(written)
    assert problem in caught.value.text()


def test_a_task_that_notifies_needs_targets_but_never_does_not() -> None:
    with pytest.raises(FileError, match="has no targets"):
        notify_of("failed", Config())
    assert notify_of("never", Config()) == Notify(on=())
