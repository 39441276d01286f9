"""The service of a folder: a systemd unit of this user that serves it."""

import hashlib
import math
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from aqueue.client import place, systemd_unit
from aqueue.client.serve_command import Serving, serve_command
from aqueue.client.session import create, environment, reading
from aqueue.errors import AqueueError
from aqueue.folder.layout import Folder, display_path, make_directories
from aqueue.model.run import State
from aqueue.model.server import OnStop

_NOT_FOR_NAMES = re.compile(r"[^A-Za-z0-9_]+")
_SYSTEMCTL: Final = ("systemctl", "--user", "--no-pager")


class Service(NamedTuple):
    """The service of a folder, installed or not.

    Attributes:
        name: the name of its unit.
        path: the path of that.
    """

    name: str
    path: Path

    @property
    def is_installed(self) -> bool:
        """Return True if its unit is there."""
        return self.path.exists()


class Installed(NamedTuple):
    """A service after its installation.

    Attributes:
        is_up: whether it serves now.
        lingers: whether it starts with the machine, and outlives the logout of its user.
    """

    service: Service
    is_up: bool
    lingers: bool


def service_of(folder: Folder) -> Service:
    """Return the service of a folder. Its name is made of that of the project, and of the whole path."""
    path = os.path.realpath(folder.path)
    project = _NOT_FOR_NAMES.sub("-", Path(path).parent.name).strip("-")[:40]
    name = (
        "-".join(filter(None, ("aqueue", project, hashlib.sha256(os.fsencode(path)).hexdigest()[:8]))) + ".service"
    )
    configuration = Path(environment().get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Service(name, configuration / "systemd/user" / name)


def unit_of(folder: Folder, serving: Serving, on_stop: OnStop) -> str:
    """Return the text of the unit that serves a folder.

    Raises:
        FolderError: a unit cannot have such a path.
    """
    if serving.idle_timeout is None:
        serving = serving._replace(idle_timeout=math.inf)
    command = [*serve_command(folder, serving), "--on-stop", on_stop]
    directory = str(folder.path.parent.absolute())
    return systemd_unit.text(
        service_of(folder).name, str(folder.path.absolute()), directory, command, place.carried(), on_stop
    )


def install(folder: Folder, serving: Serving, on_stop: OnStop, *, starts_now: bool) -> Installed:
    """Install the service of a folder, which starts with the session of its user; replace an earlier one.

    Args:
        starts_now: whether to start it, or to restart it with the new options.

    Raises:
        AqueueError: there is no systemd for this user, or it refuses.
    """
    service, unit = service_of(folder), unit_of(folder, serving, on_stop)
    _require_systemd(folder)
    create(folder)
    make_directories(service.path.parent, 0o755)
    service.path.write_text(unit, encoding="utf-8")
    _systemctl("daemon-reload")
    _systemctl("enable", service.name)
    if starts_now:
        _systemctl("restart", service.name, hint="`aqueue service logs` shows why")
    return Installed(service, _is_active(service), _lingers())


def uninstall(folder: Folder) -> tuple[Service, int]:
    """Stop and remove the service of a folder, and return how many runs go on.

    Raises:
        AqueueError: it is not installed, or systemd refuses.
    """
    service = _installed(folder)
    _systemctl("disable", "--now", service.name)
    service.path.unlink(missing_ok=True)
    _systemctl("daemon-reload")
    if not folder.state.exists():
        return service, 0
    with reading(folder) as store:
        return service, len(store.runs.in_state(State.RUNNING))


def status_command(folder: Folder) -> list[str]:
    """Return the command that shows the status of the service of a folder, and fails if it is not up.

    Raises:
        AqueueError: it is not installed.
    """
    return [*_SYSTEMCTL, "status", _installed(folder).name]


def log_command(folder: Folder, tail: int, *, follows: bool) -> list[str]:
    """Return the command that shows the last lines of the log of a service.

    Args:
        follows: whether it goes on with lines as they come.

    Raises:
        AqueueError: it is not installed.
    """
    follow = ["--follow"] if follows else []
    return ["journalctl", "--user", "--no-pager", f"--lines={tail}", *follow, f"--unit={_installed(folder).name}"]


def _installed(folder: Folder) -> Service:
    service = service_of(folder)
    if not service.is_installed:
        raise AqueueError(f"{display_path(folder.path)}/ has no service", "`aqueue service install` makes one")
    _require_systemd(folder)
    return service


def _require_systemd(folder: Folder) -> None:
    """Check that systemd runs services of this user.

    Raises:
        AqueueError: it does not; the hint says what else there is.
    """
    if shutil.which(_SYSTEMCTL[0]) is None:
        raise AqueueError("this machine has no systemd", _instead(folder))
    done = _run([*_SYSTEMCTL, "show", "--property=Version"])
    if done.returncode:
        raise AqueueError(f"systemd runs no services for you here: {_complaint(done)}", _instead(folder))


def _instead(folder: Folder) -> str:
    path = str(folder.path.absolute())
    start = shlex.join([sys.executable, "-P", "-m", "aqueue", "--dir", path, "start", "--idle-timeout", "never"])
    return (
        "`aqueue start --idle-timeout never` starts a server in the background; "
        f"to have one from boot on, add this line with `crontab -e`: @reboot {start}"
    )


def _is_active(service: Service) -> bool:
    return _run([*_SYSTEMCTL, "is-active", service.name]).returncode == 0


def _lingers() -> bool:
    """Return True if services of this user start with the machine, and outlive the user's logout."""
    user = pwd.getpwuid(os.getuid()).pw_name
    try:
        return _run(["loginctl", "show-user", user, "--property=Linger"]).stdout.strip() == "Linger=yes"
    except FileNotFoundError:
        return False


def _systemctl(*arguments: str, hint: str = "") -> None:
    done = _run([*_SYSTEMCTL, *arguments])
    if done.returncode:
        raise AqueueError(f"`systemctl --user {shlex.join(arguments)}` failed: {_complaint(done)}", hint)


def _run(arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - of the system


def _complaint(done: "subprocess.CompletedProcess[str]") -> str:
    lines = done.stderr.split("\n")
    return next((line.strip() for line in lines if line.strip()), f"exit code {done.returncode}")
