"""The keys of a task file that make experiments of its task, and those that say what it comes after."""

import msgspec

from aqueue.formats.isolation_keys import isolation, outputs
from aqueue.formats.schedule_keys import Wrong
from aqueue.formats.sweep_keys import check_request, sweep
from aqueue.formats.task_keys import Keys, texts
from aqueue.formats.yaml_document import Document
from aqueue.model.submission import Submission
from aqueue.model.task import Task, is_name
from aqueue.model.values import Value, plain_text, stands_for


def with_them(document: Document, written: Keys, task: Task, wrong: Wrong) -> Task:
    """Return the task, with what the keys say of it.

    Raises:
        FileError: at the first error.
    """
    return msgspec.structs.replace(
        task,
        group=group(written, wrong),
        isolate=isolation(document, written, wrong),
        outputs=outputs(document, written),
    )


def request(document: Document, written: Keys, task: Task, wrong: Wrong) -> Submission:
    """Return what is asked for: the task, as often and as late as the keys say.

    Raises:
        FileError: at the first error.
    """
    found = Submission(
        task=task,
        sweep=sweep(document, written, wrong),
        after=names("after", written.after, wrong),
        needs=names("needs", written.needs, wrong),
        after_any=written.after_any,
    )
    if written.after_any and not found.after and not found.needs:
        hint = "say what, with 'after' or 'needs', or leave it out"
        raise document.error("after_any: there is nothing to come after", hint, at=("after_any",), key=True)
    check_request(document, found)
    return found


def group(written: Keys, wrong: Wrong) -> str | None:
    """Read which group a task's runs belong to; None if it does not say.

    Raises:
        FileError: it is no name.
    """
    if written.group is None:
        return None
    name = plain_text(written.group)
    if not is_name(name):
        raise wrong(("group",), name)
    return name


def names(at: str, written: Value | list[Value], wrong: Wrong) -> tuple[str, ...]:
    """Read the runs or tasks that stand in `after` or `needs`.

    Raises:
        FileError: one of them is empty.
    """
    for index, name in enumerate(written if isinstance(written, list) else ()):
        if stands_for(name) in (None, ""):
            raise wrong((at, index), stands_for(name))
    if written == "":
        raise wrong((at,), written)
    return tuple(dict.fromkeys(texts(written)))
