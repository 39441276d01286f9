"""`aqueue ls --json` of very many runs."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aqueue.folder.layout import Folder
from aqueue.store import database
from tests.integration.recording import Book
from tests.waiting import eventually

COUNT = 20_000
LS = [sys.executable, "-m", "aqueue", "--dir"]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    folder = Folder(tmp_path_factory.mktemp("crowded") / "queue")
    folder.create()
    with contextlib.closing(database.connect(folder)) as connection:
        Book(connection).add("crowd", tags=("x" * 100,))
        rest = "queue, priority, state, trigger, task, created_at"
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COUNT - 1})"
            f" INSERT INTO runs (name, run_id, {rest}) SELECT name, i, {rest} FROM runs, n"
        )
        yield folder


# A new process counts what the one had that it was made by, so that has to be a small one.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def test_all_are_listed_in_little_memory(crowded: Folder) -> None:
    command = [sys.executable, "-c", MEASURE, *LS, str(crowded.path), "ls", "--json"]
    done = subprocess.run(command, capture_output=True, check=True)
    rows = json.loads(done.stdout)
    assert [row["id"] for row in rows] == list(range(1, COUNT + 1))
    assert rows[-1]["waiting_for"] == "no server is running; `aqueue serve` starts one"
    # Whole they would take some 140.
    assert int(done.stderr) < 80 * 1024


def test_a_reader_who_takes_his_time_keeps_nobody_from_cutting_the_log_back(crowded: Folder) -> None:
    with (
        subprocess.Popen([*LS, str(crowded.path), "ls", "--json"], stdout=subprocess.PIPE) as process,
        contextlib.closing(database.connect(crowded)) as connection,
    ):
        assert process.stdout is not None
        assert process.stdout.read(1) == b"["
        connection.execute("UPDATE runs SET reason = 'changed' WHERE id = 1")
        eventually(lambda: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
        assert process.poll() is None
        assert len(json.loads(b"[" + process.stdout.read())) == COUNT
