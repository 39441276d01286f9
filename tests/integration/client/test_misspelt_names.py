"""Misspelt names of runs, queues and tags, told with the name that was probably meant."""

import pytest
from click.testing import CliRunner, Result

from aqueue import Client
from aqueue.cli.command_line import cli
from aqueue.errors import AqueueError, QueueError, RunError


def ask(queue: Client, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--dir", str(queue.path), *words])


@pytest.fixture
def used(queue: Client) -> Client:
    queue.add("true", name="train", queue="gpu", tags=["team=vision"])
    return queue


def test_a_queue_that_looks_misspelt_is_neither_paused_nor_resumed(used: Client) -> None:
    for do in (used.pause, used.resume):
        with pytest.raises(QueueError) as raised:
            do("gpuu")
        assert (raised.value.message, raised.value.hint) == ("there is no queue gpuu", "did you mean gpu?")
    assert [one["name"] for one in used.status()["queues"]] == ["gpu"]


def test_a_queue_may_be_paused_before_it_has_runs(used: Client) -> None:
    for name in ("night", "night-2"):
        done = ask(used, "pause", name)
        assert (done.exit_code, done.stdout) == (0, f"queue {name} is paused; `aqueue resume {name}` resumes it\n")
        assert f"there is no queue {name} yet" in done.stderr
    assert ask(used, "pause", "gpu").stderr == ""
    assert used.resume("night")


@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",), ("--metrics",)])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--queue", "gpuu"), "there is no queue gpuu; did you mean gpu?\n"),
        (("-u", "nosuch"), "there is no queue nosuch; `aqueue status` lists the queues\n"),
        (("--tag", "team=vison"), "no run has the tag team=vison; did you mean team=vision?\n"),
        (("-u", "gpu", "--failed"), ""),
    ],
)
def test_a_list_without_runs_says_what_does_not_exist(
    used: Client, words: tuple[str, ...], said: str, form: tuple[str, ...]
) -> None:
    done = ask(used, "ls", *words, *form)
    assert (done.exit_code, done.stderr) == (0, said)


def test_a_misspelt_run_is_told_with_the_one_that_was_meant(used: Client) -> None:
    for written, hint in (
        ("trian", "did you mean train?"),
        ("trian:x", "did you mean train?"),
        ("train-2", "`aqueue ls` lists the runs"),
        ("99", "`aqueue ls` lists the runs"),
    ):
        with pytest.raises(RunError) as raised:
            used.run(written)
        assert raised.value.hint == hint


def test_a_new_queue_is_doubted_only_where_others_are_configured(used: Client) -> None:
    warnings: list[str] = []
    queue = Client(used.path, warn=warnings.append)
    queue.add("true", queue="gpuu")
    assert not [text for text in warnings if "queue gpuu" in text]
    (queue.path / "aqueue.yaml").write_text("queues: {config: [{name: cpu, max_concurrency: 2}]}\n")
    for name in ("cpuu", "cpuu", "misc", "cpu"):
        queue.add("true", queue=name)
    assert [text for text in warnings if "configured" in text] == [
        "queue cpuu is not configured in aqueue.yaml: did you mean cpu?",
        "queue misc is not configured in aqueue.yaml: its runs start one at a time",
    ]


def test_an_empty_queue_is_told_from_one_that_does_not_exist(used: Client) -> None:
    used.cancel("train")
    for name, message in (("gpu", "no queued runs in queue 'gpu'"), ("gpuu", "there is no queue gpuu")):
        with pytest.raises(AqueueError, match=message):
            used.dequeue(name)
