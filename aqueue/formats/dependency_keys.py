"""The keys of a task file for sweeps and dependencies → a submission."""

from aqueue.formats.sweep_keys import check_request, sweep
from aqueue.formats.task_keys import Keys, texts, wrong
from aqueue.formats.yaml_document import Document
from aqueue.model.submission import Submission
from aqueue.model.task import Task
from aqueue.model.values import Value, stands_for


def request(document: Document, written: Keys, task: Task) -> Submission:
    """Return the submission of a task, with its sweep and dependencies.

    Raises:
        FileError: at the first error.
    """
    found = Submission(
        task=task,
        sweep=sweep(document, written),
        after=names(document, "after", written.after),
        needs=names(document, "needs", written.needs),
        after_any=written.after_any,
    )
    if written.after_any and not found.after and not found.needs:
        hint = "add 'after' or 'needs', or leave it out"
        raise document.error("after_any: there is no 'after' or 'needs'", hint, at=("after_any",), key=True)
    check_request(document, found)
    return found


def names(document: Document, at: str, written: Value | list[Value]) -> tuple[str, ...]:
    """Return the entries of `after` or `needs`.

    Raises:
        FileError: one of them is empty.
    """
    for index, name in enumerate(written if isinstance(written, list) else ()):
        if stands_for(name) in (None, ""):
            raise wrong(document, (at, index), stands_for(name))
    if written == "":
        raise wrong(document, (at,), written)
    return tuple(dict.fromkeys(texts(written)))
