"""The commands that queue runs, and the one that checks task files."""

import re
from typing import TYPE_CHECKING, Unpack

import click

from aqueue.cli.completion import given_params_option, notify_option, queue_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import (
    NAME_TYPE,
    NUMBER,
    directory_option,
    environment_option,
    experiment_options,
    gpu_options,
    hold_option,
    name_option,
    tags_option,
    timeout_option,
    working_dir_option,
)
from aqueue.cli.output import note, report, report_queued, say
from aqueue.cli.parsing import (
    FilesThenParams,
    ParamWords,
    WordsOfACommand,
    complete_file,
    complete_file_or_param,
    param_options,
)
from aqueue.client import submit
from aqueue.client.session import now
from aqueue.client.wishes import Wishes
from aqueue.errors import FileError, UsageError
from aqueue.model.run import Trigger
from aqueue.model.values import plain_text
from aqueue.units import counted

if TYPE_CHECKING:
    from aqueue.client.check import Checked
    from aqueue.model.schedule import Schedule
    from aqueue.model.submission import Submission

_MAX_IDS = 10

_MAX_COMBINATIONS = 8

_NEXT_TIMES = 5


_OTHER_WAY = "or `--env CUDA_VISIBLE_DEVICES` to pass it on as it is"

_NOTIFY = "Tell a target in aqueue.yaml, or of failed, succeeded, recovered or group; or never. May be repeated."


def _split(ctx: click.Context, param: click.Parameter, written: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001 - click's
    """Return the paths in all values of the option."""
    return tuple(path.strip() for text in written for path in text.split(","))


@click.command(cls=WordsOfACommand)
@directory_option
@name_option("Name of the task (default: made from the command).")
@queue_option("Queue of the run (default: one named after the task).", type=NAME_TYPE)
@click.option(
    "--priority", type=click.Choice(["high", "low"]), default="low", help="high runs start first (default: low)."
)
@environment_option
@given_params_option("Param, which the command gets as an environment variable")
@working_dir_option("Working directory of the run (default: the current directory).")
@timeout_option
@click.option("--retries", type=NUMBER, metavar="N", help="Retry a failed run N times (default: as configured).")
@click.option(
    "--outputs",
    metavar="PATH,…",
    multiple=True,
    callback=_split,
    help="Copy these paths to the run's folder when it ends; may be repeated.",
)
@tags_option("Tags")
@hold_option
@click.option("--stdin", is_flag=True, help="Keep its standard input open for `aqueue send`.")
@gpu_options
@experiment_options
@notify_option(_NOTIFY)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=complete_file)
def add(
    directory: str | None,
    command: tuple[str, ...],
    params: tuple[str, ...],
    **wishes: Unpack[Wishes],
) -> None:
    """Queue one command, and print the id of its run.

    A COMMAND of one word is run by /bin/sh; several words are a program and its arguments, run without a shell.
    Put options before COMMAND: everything after its first word belongs to it. It runs in the current directory,
    with the PATH, VIRTUAL_ENV and CONDA_PREFIX of this shell.
    """
    _check_words(command)
    folder, words = find_folder(directory), command if len(command) > 1 else command[0]
    given = None
    if params:
        # Imported here: few commands have params.
        from aqueue.client.params import params_in

        given = params_in(params)
    submitted = submit.add(folder, words, wishes, print_warning, given)
    _print_warnings(submitted)
    (id_,) = submitted.all_ids()
    report_queued(id_)


@click.command(cls=FilesThenParams)
@directory_option
@click.option(
    "-r",
    "--run-id",
    type=NAME_TYPE,
    metavar="RUN_ID",
    help="RUN_ID of the run; unique among the runs of its name.",
)
@name_option("Name of the task, instead of the one in the file.", "-N")
@queue_option("Queue of the runs, instead of the one in the file.", type=NAME_TYPE)
@click.option(
    "--priority", type=click.Choice(["high", "low"]), help="Priority of the runs, instead of the one in the file."
)
@environment_option
@working_dir_option("Working directory of the runs, instead of the one in the file.")
@timeout_option
@tags_option("Tags to add")
@hold_option
@gpu_options
@experiment_options
@notify_option(_NOTIFY)
@param_options
@click.option(
    "--default-working-dir",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Working directory of tasks that do not set one (default: the current directory).",
)
@click.option(
    "--trigger-type",
    type=click.Choice([str(trigger) for trigger in Trigger if trigger is not Trigger.FILE]),
    default="manual",
    help="What to record as the trigger of the runs (default: manual).",
)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(),
    metavar="FILE…",
    shell_complete=complete_file_or_param,
)
def enqueue(
    directory: str | None,
    files: tuple[str, ...],
    given: ParamWords,
    run_id: str | None,
    default_working_dir: str | None,
    trigger_type: str,
    **wishes: Unpack[Wishes],
) -> None:
    """Queue the tasks of each FILE, and print the ids of their runs.

    The files stay where they are, and are queued all or none. PARAMS after -- are K=V for a param of the files, or
    else positional: $1, $2 … of a shell command. All words after a second -- are positional. Several values make a
    run for each combination: 'lr=[0.1,0.01]' 'seed=range(1,5)'.
    """
    # Imported here: `add` reads no file.
    from aqueue.client.enqueue import enqueue as enqueue_files
    from aqueue.client.params import params_in

    submitted = enqueue_files(
        find_folder(directory),
        files,
        wishes,
        params_in(*given),
        print_warning,
        trigger=Trigger(trigger_type),
        run_id=run_id,
        default_dir=default_working_dir or ".",
    )
    _print_warnings(submitted)
    written = [*map(str, submitted.all_ids())]
    report("\n".join(written), f"queued as {', '.join(written[:_MAX_IDS])}{' …' * (len(written) > _MAX_IDS)}")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE…")
def check(files: tuple[str, ...]) -> None:
    """Check task files, or an aqueue.yaml, without queueing anything.

    The simplest task file is one line: `command: python train.py`. `aqueue enqueue` queues it.
    """
    # Imported here: `add` reads no file.
    from aqueue.client.check import check as check_file

    failed = False
    for file in files:
        try:
            checked = check_file(file)
        except FileError as error:
            failed = True
            for message, hint in error.problems():
                say(message, err=True, head=click.style("error: ", fg="red"))
                if hint:
                    say(f"  {hint}", err=True)
        else:
            _print_checked(file, checked)
    if failed:
        raise click.exceptions.Exit(FileError.exit_code)


def _print_checked(file: str, checked: "Checked") -> None:
    if checked.is_config:
        say(f"{file}: the configuration is valid")
    else:
        names = [task.name for task in checked.tasks]
        say(f"{file}: {counted(len(names), 'schedule' if checked.schedules else 'task')}: {', '.join(names)}")
    for warning in checked.warnings:
        print_warning(f"{file}: {warning}")
    for submission in checked.submissions:
        _print_sweep(submission)
    for schedule in checked.schedules:
        _print_next_times(schedule)


def _print_sweep(submission: "Submission") -> None:
    """Print how many runs a sweep makes, and the params of the first of them."""
    if submission.sweep is None:
        return
    tasks = submission.tasks()
    say(f"  {submission.task.name}: {counted(len(tasks), 'run')}")
    for task in tasks[:_MAX_COMBINATIONS]:
        say(f"    {task.name}: {', '.join(f'{key}={plain_text(value)}' for key, value in task.params.items())}")
    if len(tasks) > _MAX_COMBINATIONS:
        say("    …")


def _print_next_times(schedule: "Schedule") -> None:
    from aqueue.client import due_times

    say(f"  {schedule.name}: {due_times.in_words(schedule)}")
    for moment in due_times.next_times(schedule, now(), _NEXT_TIMES) or ["never: the time has passed"]:
        say(f"    {moment}")


def _print_warnings(submitted: submit.Submitted) -> None:
    """Print warnings about a submission."""
    note(submitted.unserved)
    for doubt in submitted.doubts:
        print_warning(doubt)
    for task in submitted.tasks():
        if (chosen := submit.ignores_our_gpus(task)) is not None:
            from shlex import quote

            gpus = f"[{chosen}]" if chosen.isdigit() else chosen if chosen not in ("", "-1") else "0"
            option = f"`--gpus {quote(gpus)}`"
            print_warning(f"CUDA_VISIBLE_DEVICES={chosen} is not passed on to the run: use {option}, {_OTHER_WAY}")


def _check_words(command: tuple[str, ...]) -> None:
    """Refuse an empty command, or a shell command with further words, which a shell would not receive."""
    program, *others = command
    if not program.strip():
        raise UsageError("the command is empty", "name a program: aqueue add -- python train.py")
    if not others or not re.search(r"\s", program):
        return
    import shlex
    import shutil

    if shutil.which(program) is None:
        hint = "quote a shell command as one word, but a program and its arguments as a word each"
        if others[0].startswith("-"):
            hint = f"options come before the command: aqueue add {shlex.join(others)} {shlex.quote(program)}"
        raise UsageError(f"there is no program named {shlex.quote(program)}", hint)
