"""The text of a systemd unit that serves a folder. Pure."""

from collections.abc import Mapping, Sequence

from aqueue.errors import FolderError
from aqueue.model.server import OnStop

_UNIT = """\
# Written by `aqueue service install`, which overwrites it; `systemctl --user edit {name}` adds to it.
[Unit]
Description=aqueue serves {description}

[Service]
Type=notify
ExecStart={command}
WorkingDirectory={directory}
{environment}
# A stop, a restart or a crash of the server leaves the runs alone: the next server takes them over.
KillMode=process
OOMPolicy=continue
Restart=on-failure
RestartSec=5
# A mistake in a file or an option would only be repeated.
RestartPreventExitStatus=2
WatchdogSec=120
TimeoutStartSec=300
TimeoutStopSec={patience}

[Install]
WantedBy=default.target
"""


def text(
    name: str, folder: str, directory: str, command: Sequence[str], environment: Mapping[str, str], on_stop: OnStop
) -> str:
    """Return the text of a unit.

    Args:
        name: its name.
        folder: the path of the folder, for people.
        directory: the absolute path of the working directory.
        command: the command of the server.
        environment: variables of the server.
        on_stop: how the server obeys SIGTERM, which tells how long that may take.

    Raises:
        FolderError: a unit cannot have such a path.
    """
    for path in (directory, *command, *environment.values()):
        if not path.isprintable():
            raise FolderError(f"{path!r} has characters that a systemd unit cannot have", "rename it")
    if directory != directory.strip() or directory.endswith("\\"):
        raise FolderError(f"{directory!r} ends in a way that a systemd unit cannot have", "rename it")
    if set(command[0]) & set("\"'\\"):
        raise FolderError(f"{command[0]!r} has characters that a systemd unit cannot have", "rename it")
    # Without the colon, `$` in an argument would be a variable; not every systemd knows the colon.
    prefix = ":" if any("$" in word for word in command) else ""
    return _UNIT.format(
        name=name,
        description=_without_specifiers(folder),
        command=prefix + " ".join(map(quoted, command)),
        directory=_without_specifiers(directory),
        environment="\n".join(f"Environment={quoted(f'{key}={value}')}" for key, value in environment.items()),
        patience="90" if on_stop is OnStop.LEAVE else "infinity",
    )


def quoted(word: str) -> str:
    """Return a word as systemd reads it in a command or a list of variables: in quotes, if it needs them."""
    word = _without_specifiers(word)
    if word and not set(word) & set("\"'\\; \t"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _without_specifiers(text: str) -> str:
    return text.replace("%", "%%")
