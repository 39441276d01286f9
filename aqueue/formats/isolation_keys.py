"""The keys of a task file for isolation and outputs."""

import re
from pathlib import PurePosixPath
from typing import Final

from aqueue.formats.task_keys import Keys, WrittenIsolation, texts, wrong
from aqueue.formats.yaml_document import Document, Path
from aqueue.formats.yaml_values import describe
from aqueue.model.task import Isolation, Keep
from aqueue.model.values import Value

_RESERVED: Final = re.compile(r"task\.yaml|attempt-\d.*|checkout-\d.*")


def isolation(document: Document, written: Keys) -> Isolation | None:
    """Return how a task's attempts are isolated; None if they are not.

    Raises:
        FileError: at the first error.
    """
    value = written.isolate
    if value is None or value is False:
        return None
    if value is True:
        raise wrong(document, ("isolate",), value)
    if not isinstance(value, WrittenIsolation):
        return Isolation()
    copy, link = (
        paths(document, ("isolate", key), listed) for key, listed in (("copy", value.copy), ("link", value.link))
    )
    return Isolation(copy=copy, link=link, keep=Keep(value.keep)) if value.git else None


def outputs(document: Document, written: Keys) -> tuple[str, ...]:
    """Return the paths to copy to the run's directory at the end.

    Raises:
        FileError: at the first error.
    """
    found = paths(document, ("outputs",), written.outputs)
    for index, path in enumerate(found):
        if _RESERVED.fullmatch(PurePosixPath(path).parts[0]):
            at: Path = ("outputs", index) if isinstance(written.outputs, list) else ("outputs",)
            raise document.error(f"outputs: {path} is a name for aqueue's own files", "choose another name", at=at)
    return found


def paths(document: Document, at: Path, written: Value | list[Value]) -> tuple[str, ...]:
    """Return paths, which must be within the working directory.

    Raises:
        FileError: one of them leads out of it.
    """
    what = ".".join(map(str, at))
    listed = texts(written)
    for index, text in enumerate(listed):
        path = PurePosixPath(text)
        is_home = text.partition("/")[0] == "~"
        if not path.parts or path.is_absolute() or is_home or ".." in path.parts or "\0" in text:
            message = f"{what}: expected a path within the working directory, got {describe(text)}"
            raise document.error(message, at=(*at, index) if isinstance(written, list) else at)
        if path.parts[0] == ".git":
            raise document.error(f"{what}: each checkout has its own .git", "leave it out", at=at)
    return tuple(dict.fromkeys(listed))
