"""The verbs that queue something."""

import re
from collections.abc import Sequence
from typing import Unpack

import click

from aqueue.cli.context import find_folder
from aqueue.cli.messages import note, say_warning
from aqueue.cli.options import COUNT, DURATION, NAME_TYPE, demand_options, directory_option, experiment_options
from aqueue.cli.output import report
from aqueue.cli.parsing import FilesThenParams, WordsOfACommand, complete_file
from aqueue.client import submit
from aqueue.client.session import config_in_force, environment, refuse_if_disabled
from aqueue.client.submit import Wishes
from aqueue.errors import UsageError
from aqueue.model.run import Trigger
from aqueue.model.task import Task, parse_tags

_SHOWN = 10


def _tags(ctx: click.Context, param: click.Parameter, written: str) -> tuple[str, ...]:  # noqa: ARG001 - click's
    try:
        return parse_tags(written)
    except ValueError:
        raise UsageError(
            f"--tags {written}: not a list of tags", "write key=value or key, with commas between them"
        ) from None


@click.command(cls=WordsOfACommand)
@directory_option
@click.option("-n", "--name", type=NAME_TYPE, help="Name of the task; default: made from the command.")
@click.option("-u", "--queue", type=NAME_TYPE, help="Queue; default: one named after the task.")
@click.option("--priority", type=click.Choice(["high", "low"]), default="low")
@click.option(
    "--env", "variables", metavar="K[=V]", multiple=True, help="Environment variable; without =V, its value here."
)
@click.option("--timeout", type=DURATION, help="Longest time it may run: 90, 90s, 1h30m; 0: no limit.")
@click.option(
    "--tags", metavar="TAGS", default="", callback=_tags, help="Tags: key=value or key, separated by commas."
)
@click.option("--hold", is_flag=True, help="Hold the run until it is released.")
@demand_options
@experiment_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=complete_file)
def add(
    directory: str | None,
    command: tuple[str, ...],
    variables: tuple[str, ...],
    timeout: float | None,
    hold: bool,
    **wishes: Unpack[Wishes],
) -> None:
    """Queue one command, and print the id of its run.

    A single COMMAND is run by /bin/sh; several words are a program and its arguments, run as they are. Options
    come before it: whatever follows its first word belongs to it. It runs in this directory, with the PATH,
    VIRTUAL_ENV and CONDA_PREFIX of this shell.
    """
    _check_words(command)
    folder = find_folder(directory)
    config = config_in_force(folder, say_warning)
    refuse_if_disabled(config)
    words = command if len(command) > 1 else command[0]
    env = _variables(variables)
    request = submit.command(config, words, wishes, env=env, timeout=timeout, hold=hold)
    submitted = submit.submit(folder, config, [[request]], say_warning)
    _tell(submitted, [request.task], "or `--env CUDA_VISIBLE_DEVICES` to pass it on as it is")
    (id_,) = submitted.all_ids()
    report(str(id_), f"queued as {id_}")


@click.command(cls=FilesThenParams)
@directory_option
@click.option("-r", "--run-id", type=NAME_TYPE, help="Id that is unique among the runs of this name.")
@click.option("-N", "--name", type=NAME_TYPE, help="Name to use instead of the task's.")
@click.option("-u", "--queue", type=NAME_TYPE, help="Queue to use instead of the task's.")
@click.option("--priority", type=click.Choice(["high", "low"]), help="Priority to use instead of the task's.")
@click.option(
    "--tags",
    metavar="TAGS",
    default="",
    callback=_tags,
    help="More tags: key=value or key, separated by commas.",
)
@demand_options
@experiment_options
@click.option("--new", metavar="K=V", multiple=True, help="Param that no task of the files declares.")
@click.option("--samples", type=COUNT, help="Number of combinations to pick at random.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the random picks; default 0.")
@click.option(
    "--default-working-dir",
    type=click.Path(exists=True, file_okay=False),
    help="Working directory of tasks that name none; default: here.",
)
@click.option(
    "--trigger-type", type=click.Choice([str(t) for t in Trigger if t is not Trigger.FILE]), default="manual"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE…")
def enqueue(
    directory: str | None,
    files: tuple[str, ...],
    params: tuple[str, ...],
    new: tuple[str, ...],
    samples: int | None,
    seed: int | None,
    run_id: str | None,
    default_working_dir: str | None,
    trigger_type: str,
    **wishes: Unpack[Wishes],
) -> None:
    """Queue the tasks of each FILE, which stays where it is, and print the ids of their runs.

    Several files are queued all or none. PARAMS, after --, are K=V for a param of theirs, or positional: $1, $2 …
    of a shell command, as is all that comes after a second --. Several values make runs of all combinations:
    'lr=[0.1,0.01]' 'seed=range(1,5)'.
    """
    # Imported here: `add` reads no file.
    from aqueue.client import named_files
    from aqueue.client.params import params_in

    folder = find_folder(directory)
    config = config_in_force(folder, say_warning)
    refuse_if_disabled(config)
    given = params_in(params, samples, seed, new)
    with named_files.all_or_none(files):
        requests, doubts = named_files.requests_in(
            folder, config, files, wishes, given, run_id=run_id, working_dir=default_working_dir or "."
        )
        trigger = Trigger(trigger_type)
        submitted = submit.submit(folder, config, requests, say_warning, trigger=trigger, run_id=run_id)
    tasks = [one.task for of_file in requests for one in of_file]
    _tell(submitted, tasks, "or write it into `env` of the file", doubts)
    written = [*map(str, submitted.all_ids())]
    report("\n".join(written), f"queued as {', '.join(written[:_SHOWN])}{' …' * (len(written) > _SHOWN)}")


def _tell(submitted: submit.Submitted, tasks: Sequence[Task], other_way: str, doubts: Sequence[str] = ()) -> None:
    """Tell a person what they may not have meant.

    Args:
        other_way: to have a choice of GPUs that this shell has made passed on to the run.
        doubts: about the files.
    """
    note(submitted.unserved)
    for doubt in (*submitted.doubts, *doubts):
        say_warning(doubt)
    for task in tasks:
        if (chosen := submit.ignores_our_gpus(task)) is not None:
            from shlex import quote

            gpus = f"[{chosen}]" if chosen.isdigit() else chosen if chosen not in ("", "-1") else "0"
            option = f"`--gpus {quote(gpus)}`"
            say_warning(f"CUDA_VISIBLE_DEVICES={chosen} is not passed on to the run: say {option}, {other_way}")


def _check_words(command: tuple[str, ...]) -> None:
    """Refuse a command that is empty, or a shell command before other words, which it would not get."""
    program, *others = command
    if not program.strip():
        raise UsageError("the command is empty", "say what to run: aqueue add -- python train.py")
    if not others or not re.search(r"\s", program):
        return
    import shlex
    import shutil

    if shutil.which(program) is None:
        hint = "a shell command is one word, and a program and its arguments are a word each"
        if others[0].startswith("-"):
            hint = f"options come before the command: aqueue add {shlex.join(others)} {shlex.quote(program)}"
        raise UsageError(f"there is no program of the name {shlex.quote(program)}", hint)


def _variables(written: tuple[str, ...]) -> dict[str, str]:
    variables = {}
    for text in written:
        key, equals, value = text.partition("=")
        submit.check_variable(key)
        if not equals and key not in environment():
            raise UsageError(f"--env {key}: there is no such variable here", f"say what it is: --env {key}=…")
        variables[key] = value if equals else environment()[key]
    return variables
