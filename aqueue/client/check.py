"""Checks of task files and configurations that queue nothing."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aqueue.client.named_files import content_of
from aqueue.client.session import config_or_default, environment, working_dir
from aqueue.errors import FileError, FolderError
from aqueue.folder.find import find
from aqueue.folder.layout import CONFIG_NAME
from aqueue.formats import config_file, names, task_file, yaml_text
from aqueue.model.basics import is_name
from aqueue.model.config import Config
from aqueue.model.schedule import Schedule
from aqueue.model.submission import Submission
from aqueue.model.task import Task

if TYPE_CHECKING:
    from aqueue.formats.yaml_document import Document


class Checked(NamedTuple):
    """A file without errors.

    Attributes:
        warnings: likely mistakes that are not errors.
        is_config: True for an `aqueue.yaml`, which has no tasks.
    """

    warnings: list[str]
    is_config: bool = False
    tasks: Sequence[Task] = ()
    submissions: Sequence[Submission] = ()
    schedules: Sequence[Schedule] = ()


def check(file: str) -> Checked:
    """Read a task file or a configuration.

    Raises:
        FileError: it has errors.
    """
    content = content_of(file)
    if Path(file).name == CONFIG_NAME:
        return Checked(list(config_file.parse(content, file).warnings), is_config=True)
    stem, here = Path(file).stem, str(working_dir())
    name = stem if is_name(stem) else None
    defaults = _config(file).task_defaults(name=name, queue=None, working_dir=here, base=here)
    found = task_file.parse(yaml_text.decode(content, file), file, defaults)
    _check_names(found.documents, found.submissions)
    warnings = [*_shared_names(found.tasks), *_lines(found.tasks)]
    return Checked(warnings, tasks=found.tasks, submissions=found.submissions, schedules=found.schedules)


def _config(file: str) -> Config:
    """Return the configuration of the folder the file is in, or of the current one; there may be no folder yet."""
    for start in (Path(file).absolute().parent, working_dir()):
        with contextlib.suppress(FolderError):
            return config_or_default(find(None, environment(), start))
    return Config()


def _check_names(documents: "Sequence[Document]", submissions: Sequence[Submission]) -> None:
    """Check that a server started here would know each `${NAME}`.

    Raises:
        FileError: it would not; one error for each name.
    """
    errors = []
    for document, submission in zip(documents, submissions, strict=True):
        try:
            names.check(document, submission, environment())
        except FileError as error:
            errors.append(error)
    if errors:
        raise FileError.together(errors)


def _shared_names(tasks: Sequence[Task]) -> Iterator[str]:
    for name, count in Counter(task.name for task in tasks).items():
        if count > 1:
            yield f"{count} tasks have the same name, {name}; give each task its own `name`"


def _lines(tasks: Sequence[Task]) -> Iterator[str]:
    """Yield a warning for each list whose program is a whole command line, as if a list were several commands."""
    from aqueue.executors.command import A_LIST, is_line

    for task in tasks:
        if isinstance(task.command, str) or not is_line(task.command):
            continue
        program = task.command[0]
        if "${" in program or shutil.which(program) or (Path(task.working_dir) / program).exists():
            continue
        yield f"{task.name}: there is no program {program!r}: {A_LIST}"
