"""The verbs that queue something."""

import os
import re
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from aqueue.cli import place
from aqueue.cli.context import find_folder
from aqueue.cli.messages import say_if_lacking, say_if_unserved, say_warning
from aqueue.cli.options import COUNT, DURATION, NAME_TYPE, demand_options, directory_option, experiment_options
from aqueue.cli.output import report
from aqueue.cli.params import params_in
from aqueue.cli.parsing import FilesThenParams, WordsOfACommand, complete_file
from aqueue.client.session import (
    changing,
    config_in_force,
    environment,
    keep_code,
    now,
    refuse_if_disabled,
    working_dir,
)
from aqueue.errors import UsageError
from aqueue.model.gpu import GPU_VARIABLES, GpuId
from aqueue.model.run import Trigger
from aqueue.model.submission import Submission
from aqueue.model.task import VARIABLE, Isolation, Priority, Task, parse_tags

_SHOWN = 10
_CARRIED = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX")


@click.command(cls=WordsOfACommand)
@directory_option
@click.option("-n", "--name", type=NAME_TYPE, help="Name of the task; default: made from the command.")
@click.option("-u", "--queue", type=NAME_TYPE, help="Queue; default: a local one.")
@click.option("--priority", type=click.Choice(["high", "low"]), default="low")
@click.option("--env", "variables", metavar="K[=V]", multiple=True, help="A variable; without =V, as it is here.")
@click.option("--timeout", type=DURATION, help="How long it may take: 90, 90s, 1h30m; 0: for ever.")
@click.option("--tags", metavar="TAGS", default="", help="key=value or key, with commas between them.")
@click.option("--hold", is_flag=True, help="Do not start it until it is released.")
@demand_options
@experiment_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=complete_file)
def add(
    directory: str | None,
    name: str | None,
    queue: str | None,
    priority: str,
    variables: tuple[str, ...],
    timeout: float | None,
    tags: str,
    hold: bool,
    gpus: int | tuple[GpuId, ...] | None,
    gpu_memory: int | None,
    after: tuple[str, ...],
    after_any: bool,
    isolate: bool,
    group: str | None,
    command: tuple[str, ...],
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
    task = Task(
        name=name or _made_up_name(command),
        command=command if len(command) > 1 else command[0],
        working_dir=str(working_dir()),
        queue=queue,
        priority=Priority.of(priority),
        base_env=config.env,
        env=place.carried(_CARRIED) | _variables(variables),
        is_literal=True,
        timeout=config.timeout if timeout is None else timeout or None,
        retries=config.retries,
        log_limit=config.log_limit,
        tags=_tags(tags),
        hold=hold,
        isolate=Isolation() if isolate else None,
        group=group,
        **_demand(gpus, gpu_memory),
    )
    for variable in GPU_VARIABLES if gpus is not None or gpu_memory else ():
        if any(written.partition("=")[0] == variable for written in variables):
            raise UsageError(f"--env {variable} and --gpus exclude each other", "aqueue sets it to the run's GPUs")
    task = place.moved_out(task)
    request = _after_something(Submission(task=task, after=after, after_any=after_any))
    requests = keep_code(folder, [request], say_warning, place.origin_here())
    with changing(folder) as store:
        ((id_,),) = store.enqueue(requests, now(), trigger=Trigger.MANUAL)
        say_if_unserved(store, folder)
        say_if_lacking(store, config, task)
    _warn_of_cards(task, "or `--env CUDA_VISIBLE_DEVICES` to pass it on as it is")
    report(str(id_), f"queued as {id_}")


@click.command(cls=FilesThenParams)
@directory_option
@click.option("-r", "--run-id", type=NAME_TYPE, help="Identifies the run among those of its name.")
@click.option("-N", "--name", type=NAME_TYPE, help="Instead of the task's name.")
@click.option("-u", "--queue", type=NAME_TYPE, help="Instead of the task's queue.")
@click.option("--priority", type=click.Choice(["high", "low"]), help="Instead of the task's priority.")
@click.option("--tags", metavar="TAGS", default="", help="More tags: key=value or key, with commas between them.")
@demand_options
@experiment_options
@click.option("--new", metavar="K=V", multiple=True, help="A param that no task of the files has.")
@click.option("--samples", type=COUNT, help="Pick so many combinations at random.")
@click.option("--seed", type=click.IntRange(min=0), help="Other picks for another number; default 0.")
@click.option(
    "--default-working-dir",
    type=click.Path(exists=True, file_okay=False),
    help="Where a task runs that does not say; default: here.",
)
@click.option(
    "--trigger-type", type=click.Choice([str(t) for t in Trigger if t is not Trigger.FILE]), default="manual"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE…")
def enqueue(
    directory: str | None,
    run_id: str | None,
    name: str | None,
    queue: str | None,
    priority: str | None,
    tags: str,
    gpus: int | tuple[GpuId, ...] | None,
    gpu_memory: int | None,
    after: tuple[str, ...],
    after_any: bool,
    isolate: bool,
    group: str | None,
    new: tuple[str, ...],
    samples: int | None,
    seed: int | None,
    default_working_dir: str | None,
    trigger_type: str,
    files: tuple[str, ...],
    params: tuple[str, ...],
) -> None:
    """Queue the tasks of each FILE, which stays where it is, and print the ids of their runs.

    Several files are queued all or none. PARAMS, after --, are K=V for a param of theirs, or positional: $1, $2 …
    of a shell command, as is all that comes after a second --. Several values make runs of all combinations:
    'lr=[0.1,0.01]' 'seed=range(1,5)'.
    """
    # Imported here: `add` reads no file.
    from aqueue.cli import named_files

    folder = find_folder(directory)
    config = config_in_force(folder, say_warning)
    refuse_if_disabled(config)
    changes = {
        "name": name,
        "queue": queue,
        "priority": Priority.of(priority) if priority else None,
        "isolate": Isolation() if isolate else None,
        "group": group,
    }

    def changed(request: Submission) -> Submission:
        task = msgspec.structs.replace(
            request.task,
            tags=tuple(dict.fromkeys(request.task.tags + _tags(tags))),
            **{field: value for field, value in changes.items() if value is not None},
            **_demand(gpus, gpu_memory, request.task),
        )
        entries = tuple(dict.fromkeys(request.after + after))
        task = place.moved_out(task)
        return msgspec.structs.replace(request, task=task, after=entries, after_any=request.after_any or after_any)

    given = params_in(params, samples, seed, new)
    with named_files.all_or_none(files):
        contents = named_files.parse(folder, config, files, name=name, working_dir=default_working_dir or ".")
        named_files.refuse_one_name(files, contents, run_id, name)
        requests = named_files.requested(contents, changed, given)
        if after_any:
            requests = [[_after_something(request) for request in of_file] for of_file in requests]
        together = [request for of_file in requests for request in of_file]
        if run_id and any(request.sweep for request in together):
            raise UsageError("--run-id: a sweep has several runs", "leave it out: each gets one of its own")
        kept = iter(keep_code(folder, together, say_warning, place.origin_here()))
        with changing(folder) as store:
            ids = [
                store.enqueue([*islice(kept, len(of_file))], now(), trigger=Trigger(trigger_type), run_id=run_id)
                for of_file in requests
            ]
            say_if_unserved(store, folder)
            for request in together:
                say_if_lacking(store, config, request.task)
    for text in named_files.unknown_names(contents, requests):
        say_warning(text)
    for request in together:
        _warn_of_cards(request.task, "or write it into `env` of the file")
    written = [str(id_) for of_file in ids for runs in of_file for id_ in runs]
    report("\n".join(written), f"queued as {', '.join(written[:_SHOWN])}{' …' * (len(written) > _SHOWN)}")


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


def _warn_of_cards(task: Task, other_way: str) -> None:
    """Tell a person that the choice of GPUs that this shell has made is not that of the run."""
    chosen = environment().get("CUDA_VISIBLE_DEVICES")
    is_ours = chosen == environment().get("AQUEUE_GPUS")
    if (
        chosen is None
        or is_ours
        or task.gpus is not None
        or "CUDA_VISIBLE_DEVICES" in task.base_env | task.env | task.params
    ):
        return
    from shlex import quote

    gpus = f"[{chosen}]" if chosen.isdigit() else chosen if chosen not in ("", "-1") else "0"
    option = f"`--gpus {quote(gpus)}`"
    say_warning(f"CUDA_VISIBLE_DEVICES={chosen} is not passed on to the run: say {option}, {other_way}")


def _after_something(request: Submission) -> Submission:
    if request.after_any and not request.after and not request.needs:
        raise UsageError("--after-any: there is nothing to come after", "say what: --after RUN")
    return request


def _demand(
    gpus: int | tuple[GpuId, ...] | None, gpu_memory: int | None, task: Task | None = None
) -> dict[str, Any]:
    """What options say about GPUs, over what the task says; memory alone is that of one GPU."""
    if gpus is None:
        gpus = task.gpus if task is not None else None
    if gpu_memory is None:
        gpu_memory = task.gpu_memory if task is not None and gpus != 0 else None
    elif gpus is None:
        gpus = 1
    elif gpus == 0 and gpu_memory:
        raise UsageError("--gpu-memory: no GPUs are asked for", "leave it out, or say how many: --gpus 1")
    return {"gpus": gpus, "gpu_memory": gpu_memory or None}


def _variables(written: tuple[str, ...]) -> dict[str, str]:
    variables = {}
    for text in written:
        key, equals, value = text.partition("=")
        if not VARIABLE.fullmatch(key) or key.startswith("AQUEUE_"):
            raise UsageError(f"--env {key}: cannot be set", "use letters, digits and '_', and not AQUEUE_…")
        if not equals and key not in environment():
            raise UsageError(f"--env {key}: there is no such variable here", f"say what it is: --env {key}=…")
        variables[key] = value if equals else environment()[key]
    return variables


def _tags(written: str) -> tuple[str, ...]:
    try:
        return parse_tags(written)
    except ValueError:
        raise UsageError(
            f"--tags {written}: not a list of tags", "write key=value or key, with commas between them"
        ) from None


def _made_up_name(command: tuple[str, ...]) -> str:
    """The program's name, and something of its own: two commands without a name are two tasks."""
    program = Path((command[0].split() or [""])[0]).name
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '', program)[:50].strip('.') or 'command'}-{os.urandom(3).hex()}"
