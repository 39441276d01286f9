"""The keys of a task file that say how often its task is run, and what it comes after → a submission."""

from aqueue.formats.sweep_keys import check_request, sweep
from aqueue.formats.task_keys import Keys, texts, wrong
from aqueue.formats.yaml_document import Document
from aqueue.model.submission import Submission
from aqueue.model.task import Task
from aqueue.model.values import Value, stands_for


def request(document: Document, written: Keys, task: Task) -> Submission:
    """Return what is asked for: the task, as often and as late as the keys say.

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
        hint = "say what, with 'after' or 'needs', or leave it out"
        raise document.error("after_any: there is nothing to come after", hint, at=("after_any",), key=True)
    check_request(document, found)
    return found


def names(document: Document, at: str, written: Value | list[Value]) -> tuple[str, ...]:
    """Read the runs or tasks that stand in `after` or `needs`.

    Raises:
        FileError: one of them is empty.
    """
    for index, name in enumerate(written if isinstance(written, list) else ()):
        if stands_for(name) in (None, ""):
            raise wrong(document, (at, index), stands_for(name))
    if written == "":
        raise wrong(document, (at,), written)
    return tuple(dict.fromkeys(texts(written)))
