"""The spelling of a value survives the store and a retry, and reaches a real command."""

import os
import sqlite3
from pathlib import Path

from aqueue.clock import Clock
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.formats.task_file import parse
from aqueue.formats.yaml_values import parse_value
from aqueue.model.outcome import End
from aqueue.model.run import Trigger
from aqueue.store.database import connect
from tests.integration.recording import NOW, Book
from tests.unit.model.test_values import DEFAULTS
from tests.unit.spellings import SPELLINGS

REFUSED = {"", "1:30"}
"""No value at all, and what looks like several: a file may not have these as they are."""
NAMED = {f"P{index}": text for index, text in enumerate(SPELLINGS) if text not in REFUSED}


async def variables_of(book: Book, folder: Folder) -> dict[str, str]:
    """Return what the command of the only queued run sees."""
    (run,) = book.claim()
    runner = Runner(run, folder, Clock(), ProcessSettings({"PATH": os.environ["PATH"]}, 5.0))
    assert runner.launch()
    outcome = await runner.wait()
    assert (outcome.end, outcome.exit_code) == (End.EXITED, 0)
    book.store.lifecycle.finish(outcome, "server")
    content = folder.log(run.id, run.attempt).read_text()
    return dict(pair.split("=", 1) for pair in content.rstrip("\0").split("\0"))


async def test_a_command_gets_each_value_as_it_is_written_also_when_it_is_retried(
    connection: sqlite3.Connection, folder: Folder, tmp_path: Path
) -> None:
    params = "".join(f"  {name}: {text}\n" for name, text in NAMED.items())
    text = f"command: env -0\nparams:\n{params}working_dir: {tmp_path}\n"
    (task,) = parse(text, "train.yaml", DEFAULTS).tasks
    id_ = Book(connection).store.submissions.add(task, NOW, trigger=Trigger.MANUAL)
    assert id_ is not None
    with_another = connect(folder)
    try:
        book = Book(with_another)
        first = await variables_of(book, folder)
        book.store.lifecycle.retry([book.get(id_)])
        again = await variables_of(book, folder)
        assert {name: parse_value(text) for name, text in NAMED.items()} == book.get(id_).task.params
    finally:
        with_another.close()
    assert NAMED.items() <= first.items()
    assert NAMED.items() <= again.items()
