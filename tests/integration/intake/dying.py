"""Servers that take files from a folder each, and are killed: the first at its first step, the next at its second.

Prints how many died before one took all its files. Their folders are `0`, `1` … in the directory given.
"""

import os
import signal
import sys
from pathlib import Path

from aqueue.folder.layout import Folder
from aqueue.store.database import connect
from aqueue.store.store import Store
from tests.integration.accepting import accept_requests
from tests.integration.dropping import Taker
from tests.integration.recording import NOW

FILES = {"x.yaml": "command: a\n", "gpu/y.yaml": "command: b\n---\nname: other\ncommand: c\n"}
_STEPS = {"open", "os.link", "os.mkdir", "os.remove", "os.rename"}


def take_all(folder: Folder) -> None:
    taker, connection = Taker(folder), connect(folder)
    store = Store(connection)
    taker.runs_of = store.runs.of_files
    taker.settle()
    for file in taker.taken:
        accept_requests(store, file.name, file.requests, NOW)
    taker.inbox.claimed_files.remember(taker.taken)
    taker.inbox.claimed_files.file_away(os.listdir(folder.incoming))
    connection.close()


def die_at(step: int, folder: Folder) -> None:
    """Kill this process just before that step: a change to the folder, or a file of it that is opened."""
    left = step

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _STEPS and str(arguments[0]).startswith(str(folder.path)):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main(directory: Path) -> None:
    died = True
    step = -1
    while died:
        step += 1
        folder = Folder(directory / str(step))
        folder.create()
        for name, text in FILES.items():
            path = folder.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        if not (server := os.fork()):
            die_at(step, folder)
            take_all(folder)
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]) == -signal.SIGKILL
    print(step)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
