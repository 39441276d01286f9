"""Filing task files away before their runs are removed."""

import contextlib
import os
from collections.abc import Iterable

from aqueue.folder.layout import Folder
from aqueue.store import database
from aqueue.store.store import Store


def file_away(folder: Folder, store: Store, sources: Iterable[str | None]) -> None:
    """File away task files, so that no server accepts them again.

    A server does so some time after it accepts a file. If a run were removed before that, the file would become a
    run again after a crash.

    Args:
        sources: the documents of the files that runs come from; None for runs that were not dropped.

    Raises:
        OSError: the disk is full.
    """
    names = {source.rpartition(":")[0] for source in sources if source}
    names = {name for name in names if os.path.lexists(folder.incoming / name)}
    if not names:
        return
    # Imported here: few commands need it.
    from aqueue.intake import filing

    files = store.runs.of_files(names)
    database.make_durable(folder)
    for name in names:
        # A server may have just done so, or will, once nobody writes to the file.
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            filing.file_away(folder, name, files.get(name, []))
