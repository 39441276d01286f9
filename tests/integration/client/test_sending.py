"""`aqueue send` and `Client.send`, and runs that wait for input."""

import signal
from pathlib import Path

import pytest

from aqueue import Client, Run, State
from aqueue.cli.command_line import run
from aqueue.client.sending import send
from aqueue.errors import RunError
from aqueue.folder.layout import Folder
from tests.waiting import eventually


def refusal(queue: Client, asked: Run) -> str:
    """Return why nothing can be sent to a run; empty if something can."""
    try:
        queue.send(asked, eof=True)
    except RunError as error:
        return error.message
    return ""


def test_a_person_answers_a_run(queue: Client, capsys: pytest.CaptureFixture[str]) -> None:
    asking = queue.add("echo name?; read name; echo hello $name; cat", name="ask", stdin=True)
    with queue.serving():
        eventually(lambda: queue.run(asking).state is State.RUNNING)
        eventually(lambda: queue.why(asking) == f"waits for input: `aqueue send {asking.id} TEXT`")
        assert run(["send", "ask", "you"]) == 0
        queue.send(asking, "bye\n", eof=True)
        (ended,) = queue.wait(asking, timeout=60)
    assert (ended.state, queue.log(asking).text()) == (State.SUCCEEDED, "name?\nhello you\nbye\n")
    assert queue.why(asking) is None
    assert [*(queue.path / f".aqueue/runs/{asking.id}").glob("*stdin*")] == []
    with pytest.raises(RunError, match="takes no input: it is succeeded"):
        queue.send(asking, "x\n")
    assert run(["send", "ask"]) == 2
    assert "there is nothing to send\ngive a TEXT, or --eof" in capsys.readouterr().err


def test_the_output_of_a_run_with_outputs_has_what_was_sent(queue: Client) -> None:
    task = {"name": "t", "command": "tee out.txt", "stdin": "open", "outputs": "out.txt"}
    (sent,) = queue.enqueue(task)
    with queue.serving():
        eventually(lambda: queue.run(sent).state is State.RUNNING)
        queue.send(sent, b"\xff\n", eof=True)
        (ended,) = queue.wait(sent, timeout=60)
    assert queue.log(ended).bytes() == b"\xff\n"


def test_only_a_run_with_an_input_takes_one(queue: Client) -> None:
    closed, waiting = queue.add("cat"), queue.add("cat", stdin=True)
    with pytest.raises(RunError, match="run 1 has no input") as refused:
        queue.send(closed, "x\n")
    assert "stdin: open" in refused.value.hint
    with pytest.raises(RunError, match="run 2 takes no input: it is queued"):
        queue.send(waiting, "x\n")


def test_a_run_that_does_not_read_is_told(queue: Client) -> None:
    busy = queue.add("echo begun; sleep 60", stdin=True)
    with queue.serving():
        eventually(lambda: "begun" in (Path(queue.describe(busy)["log"] or "/dev/null").read_text()))
        with pytest.raises(RunError, match=r"does not read its input: \d+ of 200000 bytes were not sent"):
            send(Folder(queue.path), "1", b"x" * 200_000, ends=False, patience=0.2)
        queue.send(busy, eof=True)
        eventually(lambda: "the end of its input was sent" in refusal(queue, busy))
        queue.cancel(busy)
        assert queue.wait(busy, timeout=60)[0].signal in (signal.SIGTERM, None)
