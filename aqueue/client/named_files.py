"""Task files that are named, not dropped: read together, changed by what is asked for besides, or refused."""

import os
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aqueue.client import place
from aqueue.client.params import Params
from aqueue.client.session import environment
from aqueue.client.session import working_dir as working_dir_now
from aqueue.client.submit import Wishes, after_something, with_wishes
from aqueue.errors import AqueueError, FileError, UsageError
from aqueue.folder import trust
from aqueue.folder.layout import Folder
from aqueue.model.basics import is_name
from aqueue.model.config import Config
from aqueue.model.submission import Submission
from aqueue.units import plural

if TYPE_CHECKING:
    from aqueue.formats.task_file import Content

_SUFFIXES = (".yaml", ".yml")


@contextmanager
def all_or_none(files: Sequence[str]) -> Iterator[None]:
    """Add to an error about one of several files that none of them is queued."""
    try:
        yield
    except AqueueError as error:
        if len(files) > 1:
            error.message += "; nothing was queued"
        raise


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
    """Return what each of these task files asks for, with these wishes and params, and what may not be meant.

    Args:
        run_id: that the only run is to have.
        working_dir: where a task runs that does not say.

    Raises:
        FileError: there is an error in one of them.
        UsageError: they cannot take that.
    """
    name = wishes.get("name")
    contents = parse(folder, config, files, name=name, working_dir=working_dir)
    refuse_one_name(files, contents, run_id, name)
    return _wished(contents, wishes, given)


def requests_of(
    config: Config, mapping: Mapping[str, object], wishes: Wishes, given: Params
) -> tuple[list[list[Submission]], list[str]]:
    """Return the same of a mapping in the shape of a task file.

    Raises:
        FileError: there is an error in it.
        UsageError: it cannot take that.
    """
    # Imported here: what only reads files needs none of it.
    import json

    from aqueue.formats import task_file

    here = str(working_dir_now())
    defaults = config.task_defaults(name=wishes.get("name"), queue=None, working_dir=here, base=here)
    # JSON is YAML in which text is quoted, and so is never taken for a number.
    text = json.dumps(msgspec.to_builtins(mapping), ensure_ascii=False, indent=1)
    return _wished([task_file.parse(text, "task", defaults)], wishes, given)


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
        name: of their tasks, instead of that of the file, where they say none.
        working_dir: where a task runs that does not say.

    Raises:
        FileError: there is an error in one of them.
        UsageError: one of them is meant as a param.
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
    """Return the requests of each file, as the options and params of the command line would have them.

    Raises:
        UsageError: one of them cannot take the params.
        FileError: with these params, a file has no runs that another of its tasks needs.
    """
    from aqueue.client import known_params
    from aqueue.formats import tasks_together

    changes = [[changed(request) for request in content.submissions] for content in contents]
    together = [request for requests in changes for request in requests]
    known_params.check(given, together)
    found = [[given.applied_to(request, together) for request in requests] for requests in changes]
    for content, requests in zip(contents, found, strict=True):
        # Other params make other runs: what is needed may not be among them.
        if wrong := [*tasks_together.unmet_needs([*zip(content.documents, requests, strict=True)])]:
            raise FileError.together(wrong)
    return found


def unknown_names(contents: "Sequence[Content]", requests: Sequence[Sequence[Submission]]) -> list[str]:
    """Return what to say of each `${NAME}` that only a server's environment may have."""
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
    """Refuse `--run-id` and `--name` where several tasks would get them.

    Raises:
        UsageError: they would.
    """
    count = sum(len(content.tasks) for content in contents)
    if count > 1 and (run_id or name):
        where = plural(len(files), files[0], f"{len(files)} files")
        raise UsageError(f"there are {count} tasks in {where}", "--run-id and --name are for a single task")


def content_of(file: str) -> bytes:
    """Return what is in a file that is named on the command line.

    Raises:
        FileError: it cannot be read, or somebody else can change what is in it.
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
    # Imported here: what only refuses a command line needs none of it.
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
    """Refuse params that are not after `--`."""
    missing = [file for file in files if not os.path.lexists(file)]
    for file in missing:
        if "=" in file or (len(files) > 1 and not file.endswith(_SUFFIXES)):
            there = [one for one in files if one not in missing]
            raise _no_task_file(f"there is no file {file}", there, missing)


def _no_task_file(message: str, files: Sequence[str], params: Sequence[str]) -> UsageError:
    names = shlex.join(files) or "FILE"
    return UsageError(message, f"params come after --: aqueue enqueue {names} -- {shlex.join(params)}")


def _sub_folder(folder: Folder, file: str) -> str | None:
    """Return the queue of what is dropped where the file is, if it is in a sub-folder."""
    directory = Path(os.path.abspath(file)).parent  # noqa: PTH100 - resolve() would follow links
    if here := place.origin_here():
        directory = Path(here.original(str(directory)))
    if folder.path not in directory.parents or not is_name(directory.name):
        return None
    # In the state there are sub-folders of no queue, and so there are in `rejected`.
    steps = [directory, *directory.parents]
    inner = steps[: steps.index(folder.path)]
    return directory.name if all(folder.is_sub_folder(str(step)) for step in inner) else None
