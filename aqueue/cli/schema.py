"""The command that prints JSON Schemas for editors."""

import click

from aqueue.cli.context import find_folder
from aqueue.cli.options import directory_option
from aqueue.cli.output import note, say
from aqueue.client import schemas


@click.command()
@directory_option
@click.argument("kind", type=click.Choice(schemas.KINDS), required=False)
@click.option("--vscode", is_flag=True, help="Print settings for VS Code, and write both schemas into .aqueue/.")
def schema(directory: str | None, kind: str | None, vscode: bool) -> None:
    """Print the JSON Schema of task files, or of aqueue.yaml, with which editors complete and check them.

    `aqueue init` writes both into .aqueue/. Editors with the YAML language server use the one that a file names in
    its first line:

    # yaml-language-server: $schema=queue/.aqueue/task.schema.json
    """
    if not vscode:
        say(schemas.text(kind or "task"))
        return
    if kind is not None:
        raise click.UsageError("--vscode is for both kinds; leave one of them out")
    folder = find_folder(directory)
    schemas.write(folder)
    say(schemas.vscode_settings(folder))
    note("this belongs into .vscode/settings.json; VS Code needs the extension redhat.vscode-yaml")
