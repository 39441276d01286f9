"""The verbs that queue something."""

import os
import re
from pathlib import Path
from typing import Any

import click
import msgspec

from aqueue import configfile
from aqueue.cards import CARD_VARIABLES, CardId
from aqueue.cli.access import (
    changing,
    directory_option,
    environment,
    find_folder,
    keep_code,
    now,
    refuse_if_disabled,
    say_if_lacking,
    say_if_unserved,
    working_dir,
)
from aqueue.cli.checking import content_of
from aqueue.cli.params import params_in
from aqueue.cli.types import COUNT, DURATION, NAME_TYPE, demand_options, experiment_options
from aqueue.errors import UsageError
from aqueue.folder import Folder
from aqueue.models import PARAM, Isolation, Priority, Task, Trigger, is_name, parse_tags
from aqueue.requests import Request

_CARRIED = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX")


@click.command(context_settings={"ignore_unknown_options": False})
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
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def add(
    directory: str | None,
    name: str | None,
    queue: str | None,
    priority: str,
    variables: tuple[str, ...],
    timeout: float | None,
    tags: str,
    hold: bool,
    gpus: int | tuple[CardId, ...] | None,
    gpu_memory: int | None,
    after: tuple[str, ...],
    after_any: bool,
    isolate: bool,
    group: str | None,
    command: tuple[str, ...],
) -> None:
    """Queue one command, and print the id of its run.

    A single COMMAND is run by /bin/sh; several words are a program and its arguments, run as they are. It runs
    in this directory, with the PATH, VIRTUAL_ENV and CONDA_PREFIX of this shell.
    """
    folder = find_folder(directory)
    config = configfile.load(folder, environment())
    refuse_if_disabled(config)
    carried = {key: environment()[key] for key in _CARRIED if key in environment()}
    task = Task(
        name=name or _made_up_name(command),
        command=command if len(command) > 1 else command[0],
        working_dir=str(working_dir()),
        queue=queue,
        priority=Priority.of(priority),
        env=config.env | carried | _variables(variables),
        timeout=config.timeout if timeout is None else timeout or None,
        retries=config.retries,
        tags=_tags(tags),
        hold=hold,
        isolate=Isolation() if isolate else None,
        group=group,
        **_demand(gpus, gpu_memory),
    )
    for variable in CARD_VARIABLES if gpus is not None or gpu_memory else ():
        if any(written.partition("=")[0] == variable for written in variables):
            raise UsageError(f"--env {variable} and --gpus exclude each other", "aqueue sets it to the run's GPUs")
    if not command[0].strip():
        raise UsageError("the command is empty", "say what to run: aqueue add -- python train.py")
    requests = keep_code(folder, [_after_something(Request(task=task, after=after, after_any=after_any))])
    with changing(folder) as store:
        ((id_,),) = store.enqueue(requests, now(), trigger=Trigger.MANUAL)
        say_if_unserved(store, folder)
        say_if_lacking(store, config, task)
    click.echo(id_)


@click.command()
@directory_option
@click.option("-r", "--run-id", type=NAME_TYPE, help="Identifies the run among those of its name.")
@click.option("-N", "--name", type=NAME_TYPE, help="Instead of the task's name.")
@click.option("-u", "--queue", type=NAME_TYPE, help="Instead of the task's queue.")
@click.option("--priority", type=click.Choice(["high", "low"]), help="Instead of the task's priority.")
@click.option("--tags", metavar="TAGS", default="", help="More tags: key=value or key, with commas between them.")
@demand_options
@experiment_options
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
@click.argument("file", type=click.Path(dir_okay=False))
@click.argument("params", nargs=-1, type=click.UNPROCESSED)
def enqueue(
    directory: str | None,
    run_id: str | None,
    name: str | None,
    queue: str | None,
    priority: str | None,
    tags: str,
    gpus: int | tuple[CardId, ...] | None,
    gpu_memory: int | None,
    after: tuple[str, ...],
    after_any: bool,
    isolate: bool,
    group: str | None,
    samples: int | None,
    seed: int | None,
    default_working_dir: str | None,
    trigger_type: str,
    file: str,
    params: tuple[str, ...],
) -> None:
    """Queue the tasks of FILE, which stays where it is, and print the ids of their runs.

    PARAMS, after --, are K=V for a param, or else positional: $1, $2 … of a shell command. Several values make a
    run of each combination: 'lr=[0.1,0.01]' 'seed=range(1,5)'.
    """
    from aqueue import documents, experiments, taskfile

    folder = find_folder(directory)
    stem = Path(file).stem
    config = configfile.load(folder, environment())
    refuse_if_disabled(config)
    defaults = config.task_defaults(
        name=name or (stem if is_name(stem) else None),
        queue=_sub_folder(folder, file),
        working_dir=os.path.abspath(default_working_dir or "."),  # noqa: PTH100 - resolve() would follow links
        base=str(folder.parent),
    )
    content = taskfile.parse(documents.decode(content_of(file), file), file, defaults)
    requests = content.requests or [Request(task=task) for task in content.tasks]
    if len(requests) > 1 and (run_id or name):
        raise UsageError(f"{file} has {len(requests)} tasks", "--run-id and --name are for a file with one")
    changes = {
        "name": name,
        "queue": queue,
        "priority": Priority.of(priority) if priority else None,
        "isolate": Isolation() if isolate else None,
        "group": group,
    }
    given = params_in(params, samples, seed)
    requests = [
        given.applied_to(
            msgspec.structs.replace(
                request,
                task=msgspec.structs.replace(
                    request.task,
                    tags=tuple(dict.fromkeys(request.task.tags + _tags(tags))),
                    **{field: value for field, value in changes.items() if value is not None},
                    **_demand(gpus, gpu_memory, request.task),
                ),
                after=tuple(dict.fromkeys(request.after + after)),
                after_any=request.after_any or after_any,
            ),
            requests,
        )
        for request in requests
    ]
    # Other params make other runs: what is needed may not be among them.
    experiments.check_needs([*zip(content.documents, requests, strict=True)])
    if after_any:
        requests = [_after_something(request) for request in requests]
    if run_id and any(request.sweep for request in requests):
        raise UsageError("--run-id: a sweep has several runs", "leave it out: each gets one of its own")
    requests = keep_code(folder, requests)
    with changing(folder) as store:
        ids = store.enqueue(requests, now(), trigger=Trigger(trigger_type), run_id=run_id)
        say_if_unserved(store, folder)
        for request in requests:
            say_if_lacking(store, config, request.task)
    click.echo("\n".join(str(id_) for runs in ids for id_ in runs))


def _after_something(request: Request) -> Request:
    if request.after_any and not request.after and not request.needs:
        raise UsageError("--after-any: there is nothing to come after", "say what: --after RUN")
    return request


def _demand(
    gpus: int | tuple[CardId, ...] | None, gpu_memory: int | None, task: Task | None = None
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


def _sub_folder(folder: Folder, file: str) -> str | None:
    """The queue of what is dropped where the file is, if it is in a sub-folder."""
    directory = Path(file).absolute().parent
    is_one = folder.path in directory.parents and folder.is_sub_folder(str(directory))
    return directory.name if is_one and is_name(directory.name) else None


def _variables(written: tuple[str, ...]) -> dict[str, str]:
    variables = {}
    for text in written:
        key, equals, value = text.partition("=")
        if not PARAM.fullmatch(key) or key.startswith("AQUEUE_"):
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
