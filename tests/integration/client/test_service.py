"""`aqueue service`, with programs that stand in for those of systemd, and with systemd's own check of a unit."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aqueue.cli.command_line import run
from aqueue.client import service
from aqueue.client.serve_command import Serving
from aqueue.folder.layout import Folder
from aqueue.model.server import OnStop

FAKE = """#!/bin/sh
echo "${0##*/} $*" >>"$CALLS"
case "$*" in
  *is-active*) exit "$INACTIVE";;
  *"show --property=Version"*) [ -z "$NO_BUS" ] || { echo "Failed to connect to bus" >&2; exit 1; };;
  *show-user*) echo "Linger=$LINGER";;
  *restart*) [ -z "$BROKEN" ] || { echo "Job failed." >&2; exit 1; };;
  *status*) echo "the status"; exit 3;;
  *--lines*) echo "the log";;
esac
"""


class Machine:
    """A home with a folder in a project, and programs that stand in for those of systemd."""

    def __init__(self, base: Path, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        self.calls_path = base / "calls"
        self.units = base / "config/systemd/user"
        self.folder = Folder(base / "my project/queue")
        self.folder.path.parent.mkdir()
        programs = base / "bin"
        programs.mkdir()
        for name in ("systemctl", "loginctl", "journalctl"):
            (programs / name).write_text(FAKE)
            (programs / name).chmod(0o755)
        patch.chdir(self.folder.path.parent)
        patch.delenv("AQUEUE_DIR", raising=False)
        for name, value in {
            "PATH": f"{programs}:/usr/bin:/bin",
            "XDG_CONFIG_HOME": str(base / "config"),
            "CALLS": str(self.calls_path),
            "LINGER": "no",
            "INACTIVE": "1",
            "NO_BUS": "",
            "BROKEN": "",
        }.items():
            patch.setenv(name, value)

    @property
    def unit(self) -> Path:
        """Return the path of the unit of the folder."""
        return service.service_of(self.folder).path

    def calls(self) -> list[str]:
        """Return the last words of each call so far that changes something."""
        lines = self.calls_path.read_text().splitlines() if self.calls_path.exists() else []
        verbs = ("daemon-reload", "enable", "disable", "restart")
        return [line.partition("--no-pager ")[2] for line in lines if any(verb in line for verb in verbs)]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_service_is_installed_changed_and_removed(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    name = machine.unit.name
    assert name.startswith("aqueue-my-project-")
    assert run(["service", "install", "-j", "2"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{name} is installed, and serves queue/ from your next login on; --now starts it at once\n"
    assert "loginctl enable-linger" in told.err
    assert machine.folder.state.is_dir()
    command = f'{sys.executable} -P -m aqueue serve --dir "{machine.folder.path}" --idle-timeout never --jobs 2'
    assert f"ExecStart={command} --on-stop leave\n" in machine.unit.read_text()
    assert machine.calls() == ["daemon-reload", f"enable {name}"]

    machine.patch.setenv("LINGER", "yes")
    assert run(["service", "install", "--now", "--on-stop", "drain", "-j", "3"]) == 0
    assert capsys.readouterr() == (f"{name} is installed, and serves queue/\n", "")
    assert "--jobs 3 --on-stop drain\n" in machine.unit.read_text()
    assert machine.calls()[2:] == ["daemon-reload", f"enable {name}", f"restart {name}"]

    # Whether or not the folder is still there.
    shutil.rmtree(machine.folder.path)
    assert run(["service", "uninstall"]) == 0
    assert capsys.readouterr().out == f"{name} is removed\n"
    assert machine.calls()[5:] == [f"disable --now {name}", "daemon-reload"]
    assert list(machine.units.iterdir()) == []


def test_a_service_that_is_up_keeps_its_options_until_it_is_restarted(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.patch.setenv("INACTIVE", "0")
    run(["service", "install"])
    assert "keeps its options until `aqueue service install --now`" in capsys.readouterr().out


def test_a_unit_is_only_printed(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["service", "install", "--print"]) == 0
    printed = capsys.readouterr().out
    assert run(["service", "install"]) == 0
    assert machine.unit.read_text() == printed
    assert machine.calls()[0] == "daemon-reload"


def test_status_and_logs_are_those_of_systemd(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    run(["service", "install", "-q"])
    assert run(["service", "status"]) == 1
    assert run(["service", "logs", "-f", "-n", "7"]) == 0
    assert capfd.readouterr().out == "the status\nthe log\n"
    last = machine.calls_path.read_text().splitlines()[-1]
    assert last == f"journalctl --user --no-pager --lines=7 --follow --unit={machine.unit.name}"


@pytest.mark.parametrize("verb", ["status", "logs", "uninstall"])
def test_without_a_service_it_says_how_to_have_one(
    machine: Machine, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    run(["init"])
    assert run(["service", verb]) == 1
    assert "queue/ has no service\n`aqueue service install` makes one" in capsys.readouterr().err


@pytest.mark.parametrize(("lack", "why"), [("bus", "Failed to connect to bus"), ("systemctl", "has no systemd")])
def test_without_systemd_it_says_what_else_there_is(
    machine: Machine, capsys: pytest.CaptureFixture[str], lack: str, why: str
) -> None:
    if lack == "bus":
        machine.patch.setenv("NO_BUS", "1")
    else:
        machine.patch.setenv("PATH", "/nowhere")
    assert run(["service", "install"]) == 1
    told = capsys.readouterr().err
    assert why in told
    assert (
        f"@reboot {sys.executable} -P -m aqueue --dir '{machine.folder.path}' start --idle-timeout never" in told
    )
    assert not machine.units.exists()


def test_a_service_that_does_not_start_is_an_error(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.patch.setenv("BROKEN", "1")
    assert run(["service", "install", "--now"]) == 1
    assert "failed: Job failed.\n`aqueue service logs` shows why" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "a 50%h \"$HOME\" 'b' \\c; é"
    project.mkdir()
    python = tmp_path / "50%h $HOME; é"
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    folder = Folder(project / "queue")
    unit = tmp_path / service.service_of(folder).name
    unit.write_text(service.unit_of(folder, Serving(jobs=2, gpus=(0, 1)), OnStop.LEAVE))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
