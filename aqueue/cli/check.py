"""The verb that says what is wrong with a file without queueing it."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqueue.cli.messages import say_warning
from aqueue.cli.output import say
from aqueue.client.named_files import content_of
from aqueue.client.session import config_or_default, environment, now, working_dir
from aqueue.errors import FileError, FolderError
from aqueue.folder.find import find
from aqueue.folder.layout import CONFIG_NAME
from aqueue.formats import config_file
from aqueue.model.config import Config
from aqueue.model.schedule import Schedule
from aqueue.model.submission import Submission
from aqueue.model.task import Task, is_name
from aqueue.model.values import plain_text
from aqueue.units import counted

if TYPE_CHECKING:
    from aqueue.formats.yaml_document import Document

_SHOWN = 8


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE…")
def check(files: tuple[str, ...]) -> None:
    """Say what is wrong with task files, or an aqueue.yaml, without queueing them.

    The simplest task file is one line, `command: python train.py`. See `aqueue enqueue` for running one.
    """
    from aqueue.formats import task_file, yaml_text

    failed = False
    for file in files:
        try:
            content = content_of(file)
            if Path(file).name == CONFIG_NAME:
                config = config_file.parse(content, file)
                say(f"{file}: a good configuration")
                for warning in config.warnings:
                    say_warning(f"{file}: {warning}")
                continue
            stem, here = Path(file).stem, str(working_dir())
            name = stem if is_name(stem) else None
            defaults = _config(file).task_defaults(name=name, queue=None, working_dir=here, base=here)
            found = task_file.parse(yaml_text.decode(content, file), file, defaults)
            _check_names(found.documents, found.submissions)
            names = [task.name for task in found.tasks]
            kind = "schedule" if found.schedules else "task"
            say(f"{file}: {len(names)} {kind}{'s' if len(names) > 1 else ''}: {', '.join(names)}")
            for name, count in Counter(names).items():
                if count > 1:
                    hint = "give each a name of its own to tell them apart"
                    say_warning(f"{file}: {count} tasks have no name but that of the file, {name}; {hint}")
            for task in found.tasks:
                _warn_of_line(file, task)
            for request in found.submissions:
                _show_sweep(request)
            for schedule in found.schedules:
                _show_next(schedule)
        except FileError as error:
            failed = True
            for message, hint in error.problems():
                say(message, err=True, head=click.style("error: ", fg="red"))
                if hint:
                    say(f"  {hint}", err=True)
    if failed:
        raise click.exceptions.Exit(FileError.exit_code)


def _check_names(found: "Sequence[Document]", requests: Sequence[Submission]) -> None:
    """Refuse names that are to be filled in and that a server here would not know.

    Raises:
        FileError: at each of them.
    """
    from aqueue.formats import names as names_in_tasks

    errors = []
    for document, request in zip(found, requests, strict=True):
        try:
            names_in_tasks.check(document, request, environment())
        except FileError as error:
            errors.append(error)
    if errors:
        raise FileError.together(errors)


def _warn_of_line(file: str, task: Task) -> None:
    """Warn of a list whose program is a whole line, as if a list were several commands."""
    from aqueue.executors.local import program_errors

    if isinstance(task.command, str) or not program_errors.is_line(task.command):
        return
    program = task.command[0]
    if "${" not in program and shutil.which(program) is None and not (Path(task.working_dir) / program).exists():
        say_warning(f"{file}: {task.name}: there is no program {program!r}: {program_errors.A_LIST}")


def _config(file: str) -> Config:
    """Return the configuration where the file is, or here: perhaps there is no folder yet."""
    for start in (Path(file).absolute().parent, working_dir()):
        with contextlib.suppress(FolderError):
            return config_or_default(find(None, environment(), start))
    return Config()


def _show_sweep(request: Submission) -> None:
    """Say which runs a sweep makes; the first of them with their params."""
    if request.sweep is None:
        return
    tasks = request.tasks()
    say(f"  {request.task.name}: {counted(len(tasks), 'run')}")
    for task in tasks[:_SHOWN]:
        say(f"    {task.name}: {', '.join(f'{key}={plain_text(value)}' for key, value in task.params.items())}")
    if len(tasks) > _SHOWN:
        say("    …")


def _show_next(schedule: Schedule) -> None:
    from aqueue.client import schedule_views as schedules

    say(f"  {schedule.name}: {schedules.in_words(schedule)}")
    for moment in schedules.next_times(schedule, now(), 5) or ["never: its time has passed"]:
        say(f"    {moment}")
