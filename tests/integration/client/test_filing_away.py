"""A run that is removed while its file still waits to be filed away does not come back."""

import os
import sqlite3

from aqueue.client.pruning import prune
from aqueue.client.queues import dequeue
from aqueue.client.selection import Selection
from aqueue.folder.layout import Folder
from aqueue.store.store import Store
from tests.integration.accepting import accept_requests
from tests.integration.dropping import Taker
from tests.integration.recording import NOW


def accept(folder: Folder, taker: Taker, store: Store, text: str = "command: 'true'\n") -> None:
    (folder.path / "x.yaml").write_text(text)
    taker.settle()
    accept_requests(store, taker.taken[-1].name, taker.taken[-1].requests, NOW)


def test_runs_that_are_chosen_are_pruned_even_if_their_files_were_not_filed_away(
    folder: Folder, taker: Taker, connection: sqlite3.Connection
) -> None:
    store = Store(connection)
    accept(folder, taker, store, "command: 'true'\n---\nname: y\ncommand: 'true'\n")
    for run in store.runs.select():
        store.lifecycle.cancel(run, "cancelled", NOW)
    assert prune(folder, None, print, Selection(runs=["x"])).runs == 1
    assert (os.listdir(folder.incoming), os.listdir(folder.runs)) == ([], ["2"])
    assert (folder.run_dir(2) / "task.yaml").exists()
    assert prune(folder, None, print, Selection(is_all=True)).runs == 1
    assert taker.left_behind == []


def test_a_run_that_is_dequeued_before_its_file_was_filed_away_is_gone(
    folder: Folder, taker: Taker, connection: sqlite3.Connection
) -> None:
    accept(folder, taker, Store(connection))
    dequeue(folder, "x")
    assert (os.listdir(folder.incoming), os.listdir(folder.runs)) == ([], [])
    assert Store(connection).runs.count() == 0
    assert taker.left_behind == []
