"""The folder that a command is about."""

import click

from aqueue.client import session
from aqueue.folder.layout import Folder


def find_folder(directory: str | None) -> Folder:
    """Return the folder that a command is about.

    Args:
        directory: what its own `--dir` says.

    Raises:
        FolderError: there is none, or it is not safe to use.
    """
    return session.find_folder(directory or outer_directory())


def folder_to_create(directory: str | None, default: str | None = None) -> Folder:
    """Return the folder that a command is about which may create it.

    Args:
        directory: what its own `--dir` or argument says.
        default: what is taken if nothing names one; None: the one that other commands would find.

    Raises:
        FolderError: it is not safe to use.
    """
    return session.folder_to_create(directory or outer_directory(), default)


def outer_directory() -> str | None:
    """Return the `--dir` that was given before the command; None if none was."""
    context = click.get_current_context(silent=True)
    given = context.find_root().obj if context else None
    return given if isinstance(given, str) else None
