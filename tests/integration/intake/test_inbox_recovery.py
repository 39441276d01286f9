"""Recovery by the next server after a crash between any two steps of accepting a file."""

import os
import sqlite3
import time
from collections.abc import Callable

import pytest

from aqueue.folder.layout import Folder
from aqueue.intake.claimed_files import ClaimedFile
from aqueue.intake.filing import Claim
from aqueue.model.run import State
from aqueue.store.store import Store
from tests.integration.accepting import accept_requests, tasks_of
from tests.integration.dropping import Taker
from tests.integration.recording import NOW, Book

GOOD = "command: 'true'\n"


@pytest.fixture
def heir(new_taker: Callable[[], Taker], connection: sqlite3.Connection) -> "Heir":
    return Heir(new_taker(), Store(connection))


class Heir:
    """The next server, as far as accepting goes."""

    def __init__(self, taker: Taker, store: Store) -> None:
        self._inbox = taker.inbox
        self._store = store
        self.taker = taker
        taker.runs_of = store.runs.of_files

    def recover(self) -> list[ClaimedFile]:
        last = self._store.runs.last_id()
        return list(self._inbox.claimed_files.recover(lambda: last))

    def accept(self, files: list[ClaimedFile]) -> list[int]:
        ids = [accept_requests(self._store, file.name, file.requests, NOW) for file in files]
        self.file_away()
        return [id_ for ids_of_file in ids for id_ in ids_of_file]

    def file_away(self) -> None:
        self._inbox.claimed_files.file_away(os.listdir(self.taker.folder.incoming))


def claim(folder: Folder, taker: Taker, name: str, text: str = GOOD) -> ClaimedFile:
    """Have a file claimed by a server that then dies."""
    path = folder.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    taker.settle()
    return taker.taken[-1]


def test_a_claimed_file_is_accepted_by_the_next_server(
    folder: Folder, taker: Taker, heir: Heir, connection: sqlite3.Connection
) -> None:
    claimed = claim(folder, taker, "gpu/train.yaml", "command: a\n---\ncommand: b\nname: other\n")
    (recovered,) = heir.recover()
    assert (recovered.name, recovered.requests) == (claimed.name, claimed.requests)
    ids = heir.accept([recovered])
    runs = [Book(connection).get(id_) for id_ in ids]
    assert [(run.name, run.queue, run.state) for run in runs] == [
        ("train", "gpu", State.QUEUED),
        ("other", "gpu", State.QUEUED),
    ]
    assert os.listdir(folder.incoming) == []
    assert (folder.run_dir(ids[0]) / "task.yaml").exists()


@pytest.mark.parametrize("name", ["x.yaml", "x.yml", "a-1_b.c.yaml", "gpu/x.yaml", "my gpu/odd name.yaml"])
def test_a_recovered_file_gets_what_it_would_have_got_from_its_place(
    folder: Folder, taker: Taker, heir: Heir, name: str
) -> None:
    text = f"{GOOD}name: n\nqueue: q\n" if " " in name else GOOD
    claimed = claim(folder, taker, name, text)
    (recovered,) = heir.recover()
    assert recovered.requests == claimed.requests


def test_files_are_recovered_in_the_order_in_which_they_were_claimed(
    folder: Folder, taker: Taker, heir: Heir
) -> None:
    for name in ("c", "a", "b"):
        claim(folder, taker, f"{name}.yaml")
    assert [tasks_of(file)[0].name for file in heir.recover()] == ["c", "a", "b"]


def test_a_file_whose_runs_are_in_the_store_is_only_filed_away(
    folder: Folder, taker: Taker, heir: Heir, connection: sqlite3.Connection
) -> None:
    claimed = claim(folder, taker, "x.yaml", f"{GOOD}---\n{GOOD}")
    ids = accept_requests(Store(connection), claimed.name, claimed.requests, NOW)
    assert heir.recover() == []
    heir.file_away()
    assert Store(connection).runs.count() == 2
    assert os.listdir(folder.incoming) == []
    assert sorted(os.listdir(folder.runs)) == sorted(map(str, ids))


def test_a_file_that_was_half_filed_away_is_filed_away(
    folder: Folder, taker: Taker, heir: Heir, connection: sqlite3.Connection
) -> None:
    claimed = claim(folder, taker, "x.yaml", f"{GOOD}---\n{GOOD}")
    ids = accept_requests(Store(connection), claimed.name, claimed.requests, NOW)
    folder.make_run_dir(ids[1])
    os.link(folder.incoming / claimed.name, folder.run_dir(ids[1]) / "task.yaml")
    assert heir.recover() == []
    heir.file_away()
    assert os.listdir(folder.incoming) == []
    assert all((folder.run_dir(id_) / "task.yaml").exists() for id_ in ids)


def test_after_recovery_there_is_nothing_left_to_recover(folder: Folder, taker: Taker, heir: Heir) -> None:
    claim(folder, taker, "x.yaml")
    heir.accept(heir.recover())
    assert heir.recover() == []


def test_two_servers_that_recover_the_same_file_accept_it_once(
    folder: Folder, taker: Taker, heir: Heir, new_taker: Callable[[], Taker], connection: sqlite3.Connection
) -> None:
    claim(folder, taker, "x.yaml")
    other = Heir(new_taker(), Store(connection))
    first, second = heir.recover(), other.recover()
    assert heir.accept(first) == other.accept(second)
    assert Store(connection).runs.count() == 1
    assert os.listdir(folder.incoming) == []


def test_a_file_that_was_claimed_before_the_clock_was_put_back_is_recovered(
    folder: Folder, taker: Taker, heir: Heir, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = claim(folder, taker, "a.yaml")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert [file.name for file in heir.recover()] == [claimed.name]


def test_a_run_directory_that_the_store_does_not_know_is_put_aside(
    folder: Folder, heir: Heir, connection: sqlite3.Connection
) -> None:
    # A power cut took the transaction; the id will be given again, and must not find an old fence.
    known = Book(connection).add()
    for id_ in (known.id, known.id + 1):
        folder.make_run_dir(id_)
        (folder.run_dir(id_) / "attempt-1.pid").write_text("1\n0\n")
    heir.recover()
    kept, aside = sorted(os.listdir(folder.runs))
    assert kept == str(known.id)
    assert aside.startswith(f"{known.id + 1}.unknown-")
    assert (folder.run_dir(known.id) / "attempt-1.pid").exists()


def test_the_directory_of_a_run_that_was_forgotten_is_left_to_those_who_forgot_it(
    folder: Folder, heir: Heir, connection: sqlite3.Connection
) -> None:
    run = Book(connection).in_state(State.SUCCEEDED)
    folder.make_run_dir(run.id)
    Store(connection).runs.forget([run.id])
    heir.recover()
    assert folder.run_dir(run.id).exists()


def test_a_claimed_file_that_has_become_bad_is_rejected(folder: Folder, heir: Heir) -> None:
    # As after an upgrade that has become stricter.
    name = Claim.of("0123456789ab000001", ("", "x"), b"comand: 'true'\n").name
    (folder.incoming / name).write_text("comand: 'true'\n")
    assert heir.recover() == []
    assert len(heir.taker.rejected) == 1
    assert os.listdir(folder.incoming) == []
    (error,) = folder.rejected.glob("*.error")
    assert "did you mean" in error.read_text()
    assert (folder.rejected / error.stem).exists()


def test_what_does_not_belong_into_incoming_does_no_harm(folder: Folder, taker: Taker, heir: Heir) -> None:
    claim(folder, taker, "x.yaml")
    (folder.incoming / "note.txt").write_text(GOOD)
    assert [tasks_of(file)[0].name for file in heir.recover()] == ["x"]


def test_a_file_that_was_claimed_just_now_is_not_taken_from_its_server(
    folder: Folder, taker: Taker, heir: Heir
) -> None:
    claim(folder, taker, "x.yaml")
    assert list(heir.taker.inbox.claimed_files.left_behind(60.0)) == []
    assert len(heir.taker.left_behind) == 1
