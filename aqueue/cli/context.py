"""The folder that a command works on."""

import click

from aqueue.client import session
from aqueue.folder.layout import Folder


def find_folder(directory: str | None) -> Folder:
    """Return the folder that a command works on.

    Args:
        directory: the value of its own `--dir`.

    Raises:
        FolderError: there is none, or it is not safe to use.
    """
    return session.find_folder(directory or outer_directory())


def folder_to_create(directory: str | None, default: str | None = None) -> Folder:
    """Return the folder for a command that may create it.

    Args:
        directory: the value of its own `--dir` or argument.
        default: the folder if nothing names one; None: the one that other commands would find.

    Raises:
        FolderError: it is not safe to use.
    """
    return session.folder_to_create(directory or outer_directory(), default)


def outer_directory() -> str | None:
    """Return the `--dir` given before the command; None if there is none."""
    context = click.get_current_context(silent=True)
    given = context.find_root().obj if context else None
    return given if isinstance(given, str) else None
