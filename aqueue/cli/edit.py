"""The command that changes what runs are to do, by options or in an editor."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from aqueue.cli.completion import given_params_option, notify_option, queue_option
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import (
    DURATION,
    NAME_TYPE,
    after_options,
    directory_option,
    environment_option,
    gpu_options,
    name_option,
    tags_option,
)
from aqueue.cli.output import note, report, say
from aqueue.cli.selection import report_changed, selection_options
from aqueue.client import editing
from aqueue.client.editing import EDITABLE, Changes, Edited
from aqueue.client.params import params_in
from aqueue.client.selection import Selection
from aqueue.client.wishes import Wishes
from aqueue.errors import AqueueError, FileError
from aqueue.folder.layout import Folder

_MAX_DESCRIBED = 5

_HEADER = """\
# Run {id} {name}. The keys are those of a task file; what is left out has its default.
# Save the file to change the run. Without changes, nothing happens.
"""


@click.command()
@directory_option
@selection_options(*EDITABLE, by_queue=False)
@name_option("Another name; for a single run.")
@queue_option("Move the runs to this queue.", name="to_queue", type=NAME_TYPE)
@click.option("--priority", type=click.Choice(["high", "low"]), help="high runs start first.")
@given_params_option("Another value of a param")
@click.option("--new", metavar="K=V", multiple=True, help="Add a param; may be repeated.")
@environment_option
@click.option("--timeout", type=DURATION, help="Stop the runs after this long, such as 90s or 1h30m; 0: no limit.")
@tags_option("Tags, in place of those before")
@gpu_options
@notify_option(
    "Tell a target in aqueue.yaml, or of failed, succeeded, recovered or group; or never. May be repeated."
)
@after_options("Start after these runs succeed, and no others; may be repeated.")
@click.option("--no-after", is_flag=True, help="Do not wait for other runs.")
def edit(
    directory: str | None,
    selection: Selection,
    name: str | None,
    to_queue: str | None,
    priority: str | None,
    params: tuple[str, ...],
    new: tuple[str, ...],
    env: dict[str, str],
    timeout: float | None,
    tags: tuple[str, ...],
    gpus: int | tuple[int | str, ...] | None,
    gpu_memory: int | None,
    notify: tuple[str, ...],
    after: tuple[str, ...],
    after_any: bool,
    no_after: bool,
) -> None:
    """Change what queued or held runs are to do.

    Without options, the task of a single run is opened in $EDITOR, as YAML. It is checked before it is saved.
    """
    folder = find_folder(directory)
    if no_after and (after or after_any):
        raise click.UsageError("--no-after excludes --after and --after-any")
    wishes = Wishes(
        name=name,
        queue=to_queue,
        priority=priority,
        gpus=gpus,
        gpu_memory=gpu_memory,
        timeout=timeout,
        notify=notify,
    )
    changes = Changes(
        wishes,
        tags=tags or None,
        env=env,
        params=params_in(params, new=new) if params or new else None,
        after=() if no_after else after or None,
        after_any=after_any,
    )
    if changes.is_empty:
        edit_in_editor(folder, selection)
        return
    edited = editing.edit(folder, selection, changes, print_warning)
    if not 0 < len(edited) <= _MAX_DESCRIBED:
        report_changed("edited", [one.run for one in edited], selection, EDITABLE)
    else:
        report("\n".join(map(_described, edited)))
    _print_doubts(edited)


def edit_in_editor(folder: Folder, selection: Selection, *, is_retry: bool = False) -> None:
    """Have a person edit the task of a run, again and again until it has no mistakes, or the person gives up.

    Args:
        is_retry: whether the run has ended, and is queued again.
    """
    if not selection.is_by_name or len(selection.runs) != 1:
        hint = "name one, or give what to change as options: aqueue edit --help"
        raise click.UsageError(f"an editor is for a single run\n{hint}")
    if not sys.stdin.isatty() and not {"EDITOR", "VISUAL"} & os.environ.keys():
        hint = "give what to change as options, or set EDITOR"
        raise click.UsageError(f"there is no terminal for an editor\n{hint}")
    draft = editing.draft(folder, selection.runs[0], is_retry=is_retry)
    header = _HEADER.format(id=draft.run.id, name=draft.run.name)
    # A directory that only this user can read: variables may be secrets.
    path = Path(tempfile.mkdtemp(prefix="aqueue-")) / f"{draft.run.name}.yaml"
    path.write_text(header + draft.text, encoding="utf-8")
    edited = _edit_until_right(folder, draft, path, header)
    shutil.rmtree(path.parent)
    if edited is None:
        note("nothing was changed")
        return
    report(_described(edited, "retried" if is_retry else "edited"))
    note(edited.unserved)
    _print_doubts([edited])


def _edit_until_right(folder: Folder, draft: editing.Draft, path: Path, header: str) -> Edited | None:
    """Open a file in an editor until its text can be saved as that of a run; return None if it is as before."""
    # Imported here: only an editor needs it.
    from aqueue.formats.yaml_text import decode

    while True:
        try:
            click.edit(filename=str(path))
            text = decode(path.read_bytes(), str(path))
            if text == header + draft.text:
                return None
            return editing.save(folder, draft, text, str(path), print_warning)
        except click.ClickException:
            if path.read_text(encoding="utf-8") == header + draft.text:
                shutil.rmtree(path.parent)
            raise
        except AqueueError as error:
            is_mistake = isinstance(error, FileError)
            for message, hint in error.problems() if is_mistake else ():
                say(f"{message}\n{hint}".rstrip(), err=True, head=click.style("error: ", fg="red"))
            if is_mistake and sys.stdin.isatty() and click.confirm("edit it again?", default=True, err=True):
                continue
            note(f"nothing was changed; your text is in {path}")
            if is_mistake:
                raise click.exceptions.Exit(error.exit_code) from None
            raise


def _described(edited: Edited, done: str = "edited") -> str:
    run = f"run {edited.run.id} {edited.run.name}"
    if not edited.differences:
        return f"{run} is so already"
    return f"{done} {run}: {'; '.join(edited.differences)}"


def _print_doubts(edited: Sequence[Edited]) -> None:
    for doubt in dict.fromkeys(doubt for one in edited for doubt in one.doubts):
        print_warning(doubt)
