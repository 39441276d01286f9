"""A client whose folder is removed, or replaced by another, says so at once instead of waiting for it."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aqueue import AqueueError, Client
from aqueue.client.session import opened
from aqueue.errors import DatabaseError, FolderError
from aqueue.folder.layout import Folder
from tests.waiting import eventually

REMOVED = "was removed or replaced"


@pytest.mark.parametrize(
    "ask",
    [
        lambda queue: queue.add("true"), lambda queue: queue.serving().__enter__(), Client.runs, Client.events,
        Client.status, Client.gpus, Client.prune, Client.start, Client.stop,
    ],
)  # fmt: skip
def test_what_is_asked_of_a_removed_folder_is_refused_and_does_not_make_it_anew(
    queue: Client, ask: Callable[[Client], object]
) -> None:
    shutil.rmtree(queue.path)
    with pytest.raises(FolderError, match=REMOVED) as caught:
        ask(queue)
    assert caught.value.hint
    assert not queue.path.exists()


@pytest.mark.parametrize("is_replaced", [False, True])
@pytest.mark.parametrize(
    "follow",
    [
        lambda queue: queue.wait(timeout=60),
        lambda queue: [*queue.events()],
        lambda queue: [*queue.log("a").follow()],
    ],
    ids=["wait", "events", "log"],
)
def test_what_follows_runs_ends_with_the_folder(
    queue: Client, follow: Callable[[Client], object], is_replaced: bool
) -> None:
    queue.add("true", name="a")
    found: list[str] = []

    def listen() -> None:
        try:
            follow(queue)
        except AqueueError as error:
            found.append(error.message)

    bell = Path(queue.path, ".aqueue", "news")
    rung = bell.stat().st_mtime_ns
    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    eventually(lambda: bell.stat().st_mtime_ns > rung)
    away = queue.path.rename(queue.path.with_name("away"))
    if is_replaced:
        Client.create(queue.path)
    shutil.rmtree(away)
    listener.join(30)
    (message,) = found
    assert REMOVED in message


def test_an_error_of_a_database_that_is_gone_names_the_folder(queue: Client, folder: Folder) -> None:
    with pytest.raises(FolderError, match=REMOVED), opened(folder):
        shutil.rmtree(queue.path)
        raise DatabaseError("disk I/O error")
    Client.create(queue.path)
    with pytest.raises(DatabaseError, match="disk"), opened(folder):
        raise DatabaseError("disk I/O error")
