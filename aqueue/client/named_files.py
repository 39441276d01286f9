"""Task files named on a command line: read together, with options and params applied."""

import os
import shlex
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aqueue.client import place
from aqueue.client.params import Params
from aqueue.client.session import environment
from aqueue.client.session import working_dir as working_dir_now
from aqueue.client.wishes import Wishes, after_something, with_wishes
from aqueue.errors import FileError, UsageError
from aqueue.folder import trust
from aqueue.folder.layout import Folder
from aqueue.model.basics import is_name
from aqueue.model.config import Config
from aqueue.model.submission import Submission
from aqueue.units import plural

if TYPE_CHECKING:
    from aqueue.formats.task_file import Content

_SUFFIXES = (".yaml", ".yml")


def requests_in(
    folder: Folder,
    config: Config,
    files: Sequence[str],
    wishes: Wishes,
    given: Params,
    *,
    run_id: str | None = None,
    working_dir: str = ".",
) -> tuple[list[list[Submission]], list[str]]:
    """Return the submissions of each file, with options and params applied, and warnings.

    Args:
        run_id: the run-id for a single run.
        working_dir: the default working directory.

    Raises:
        FileError: a file has an error.
        UsageError: the options or params do not fit.
    """
    name = wishes.get("name")
    contents = parse(folder, config, files, name=name, working_dir=working_dir)
    refuse_one_name(files, contents, run_id, name)
    return _wished(contents, wishes, given)


def requests_of(
    config: Config, mapping: Mapping[str, object], wishes: Wishes, given: Params, *, working_dir: str = "."
) -> tuple[list[list[Submission]], list[str]]:
    """Return the submissions of a mapping in the form of a task file, and warnings.

    Args:
        working_dir: the default working directory.

    Raises:
        FileError: the mapping has an error.
        UsageError: the options or params do not fit.
    """
    # Imported here: what only reads files needs none of it.
    from aqueue.formats import given_tasks, task_file

    here, text = working_dir_now(), given_tasks.as_text(mapping)
    name = wishes.get("name")
    # A missing name is told last, since a mistyped key may be why it is missing.
    defaults = config.task_defaults(
        name=name or given_tasks.FILE, queue=None, working_dir=str(here / working_dir), base=str(here)
    )
    content = task_file.parse(text, given_tasks.FILE, defaults)
    if name is None and mapping.get("name") is None:
        raise UsageError("'name' is missing", "add one to the mapping, or give name='…'")
    return _wished([content], wishes, given)


def _wished(
    contents: "Sequence[Content]", wishes: Wishes, given: Params
) -> tuple[list[list[Submission]], list[str]]:
    requests = requested(contents, with_wishes(wishes), given)
    if wishes.get("after_any"):
        requests = [[after_something(request) for request in of_file] for of_file in requests]
    return requests, [*unknown_names(contents, requests)]


def parse(
    folder: Folder, config: Config, files: Sequence[str], *, name: str | None, working_dir: str
) -> "list[Content]":
    """Read task files.

    Args:
        name: the default name, in place of the file's.
        working_dir: the default working directory.

    Raises:
        FileError: a file has an error.
        UsageError: a word among the files is a param.
    """
    _refuse_params(files)
    found, errors = [], list[FileError]()
    for number, file in enumerate(files):
        try:
            found.append(_parse(folder, config, file, name, working_dir))
        except FileError as error:
            if number and not file.endswith(_SUFFIXES):
                raise _no_task_file(error.message, files[:number], files[number:]) from None
            errors.append(error)
    if errors:
        raise FileError.together(errors)
    return found


def requested(
    contents: "Sequence[Content]", changed: Callable[[Submission], Submission], given: Params
) -> list[list[Submission]]:
    """Return the requests of each file, with options and params applied.

    Raises:
        UsageError: a task cannot take the params.
        FileError: with these params, a task needs runs that the file does not have.
    """
    from aqueue.client import known_params
    from aqueue.formats import tasks_together

    changes = [[changed(request) for request in content.submissions] for content in contents]
    together = [request for requests in changes for request in requests]
    known_params.check(given, together)
    found = [[given.applied_to(request, together) for request in requests] for requests in changes]
    for content, requests in zip(contents, found, strict=True):
        # Params change which runs there are, so a needed run may be missing.
        if wrong := [*tasks_together.unmet_needs([*zip(content.documents, requests, strict=True)])]:
            raise FileError.together(wrong)
    return found


def unknown_names(contents: "Sequence[Content]", requests: Sequence[Sequence[Submission]]) -> list[str]:
    """Return a warning for each `${NAME}` that only a server's environment may have."""
    from aqueue.formats import names

    found = []
    for content, changed in zip(contents, requests, strict=True):
        for document, request in zip(content.documents, changed, strict=True):
            try:
                names.check(document, request, environment())
            except FileError as error:
                found += [message for message, _ in error.problems()]
    return [f"{message}, unless the server's has it" for message in found]


def refuse_one_name(
    files: Sequence[str], contents: "Sequence[Content]", run_id: str | None, name: str | None
) -> None:
    """Check that `--run-id` and `--name` apply to a single task.

    Raises:
        UsageError: they would apply to several.
    """
    count = sum(len(content.tasks) for content in contents)
    if count > 1 and (run_id or name):
        where = plural(len(files), files[0], f"{len(files)} files")
        raise UsageError(f"there are {count} tasks in {where}", "--run-id and --name are for a single task")


def content_of(file: str) -> bytes:
    """Return the content of a file named on the command line.

    Raises:
        FileError: it cannot be read, or somebody else can change it.
    """
    from aqueue.formats import yaml_text

    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116 - beside the constants of stat
            raise FileError(file, 0, 0, "is not a regular file", "give the file itself")
        with Path(file).open("rb") as opened:
            path = os.path.abspath(file)  # noqa: PTH100 - resolve() would follow links
            if fault := trust.fault_of_named_file(path, os.fstat(opened.fileno())):
                raise FileError(file, 0, 0, *fault)
            return opened.read(yaml_text.MAX_BYTES + 1)
    except OSError as error:
        raise FileError(file, 0, 0, f"cannot be read: {error.strerror}") from None


def _parse(folder: Folder, config: Config, file: str, name: str | None, working_dir: str) -> "Content":
    # Imported here because a refused command line does not need it.
    from aqueue.formats import task_file, yaml_text

    stem = Path(file).stem
    defaults = config.task_defaults(
        name=name or (stem if is_name(stem) else None),
        queue=_sub_folder(folder, file),
        working_dir=os.path.abspath(working_dir),  # noqa: PTH100 - resolve() would follow links
        base=str(folder.parent),
    )
    return task_file.parse(yaml_text.decode(content_of(file), file), file, defaults)


def _refuse_params(files: Sequence[str]) -> None:
    """Raise UsageError for params that do not come after `--`."""
    missing = [file for file in files if not os.path.lexists(file)]
    for file in missing:
        if "=" in file or (len(files) > 1 and not file.endswith(_SUFFIXES)):
            there = [one for one in files if one not in missing]
            raise _no_task_file(f"there is no file {file}", there, missing)


def _no_task_file(message: str, files: Sequence[str], params: Sequence[str]) -> UsageError:
    names = shlex.join(files) or "FILE"
    return UsageError(message, f"params come after --: aqueue enqueue {names} -- {shlex.join(params)}")


def _sub_folder(folder: Folder, file: str) -> str | None:
    """Return the default queue of a file: the name of its sub-folder, if it is in one."""
    directory = Path(os.path.abspath(file)).parent  # noqa: PTH100 - resolve() would follow links
    if here := place.origin_here():
        directory = Path(here.original(str(directory)))
    if folder.path not in directory.parents or not is_name(directory.name):
        return None
    # Directories in `.aqueue` and `rejected` are not queues.
    steps = [directory, *directory.parents]
    inner = steps[: steps.index(folder.path)]
    return directory.name if all(folder.is_sub_folder(str(step)) for step in inner) else None
