"""JSON Schemas for editors: their text, their files in a folder, and settings that name these."""

import json
import os
from pathlib import Path
from typing import Final

from aqueue.folder.layout import CONFIG_NAME, SUFFIXES, Folder, display_path, write_whole
from aqueue.formats import json_schema

_MADE: Final = {"task": json_schema.task, "config": json_schema.config}

KINDS: Final = tuple(_MADE)
"""The kinds of files that have a schema."""


def text(kind: str) -> str:
    """Return the schema of a kind of file, as JSON."""
    return json.dumps(_MADE[kind](), indent=2, ensure_ascii=False)


def path(folder: Folder, kind: str) -> Path:
    """Return the path of the schema of a kind of file in a folder."""
    return folder.state / f"{kind}.schema.json"


def write(folder: Folder) -> None:
    """Write the schemas into the state directory of a folder, for editors.

    Raises:
        OSError: the disk is full, or a file cannot be created there.
    """
    for kind in KINDS:
        write_whole(path(folder, kind), f"{text(kind)}\n".encode())


def vscode_settings(folder: Folder) -> str:
    """Return settings of VS Code by which it checks the files of a folder, as JSON.

    Paths are relative to the current directory if the folder is in there.
    """
    place, at = display_path(folder.path), "./"
    if place.startswith(os.pardir):
        place, at = str(folder.path.absolute()), ""
    files = {
        "task": [*(f"{place}/**/*{suffix}" for suffix in SUFFIXES), f"!{place}/{CONFIG_NAME}"],
        "config": [f"{place}/{CONFIG_NAME}"],
    }
    schemas = {f"{at}{place}/.aqueue/{path(folder, kind).name}": files[kind] for kind in KINDS}
    return json.dumps({"yaml.schemas": schemas}, indent=2, ensure_ascii=False)
