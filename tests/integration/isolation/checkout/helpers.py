"""Helpers for tests of checkouts."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.repositories import Repository


def names_in(directory: Path) -> list[str]:
    """All that there is, as paths, but git's and the plans."""
    names = (str(path.relative_to(directory)) for path in directory.rglob("*"))
    return sorted(name for name in names if name.split("/")[0] != ".git" and not name.endswith(".plan"))


def add_filter(repository: Repository, command: str) -> None:
    """Add a file that git cannot write without running a command."""
    repository.write(".gitattributes", "*.bin filter=ours\n")
    repository.write("x.bin", "content\n")
    repository.commit()
    repository.git("config", "filter.ours.clean", "cat")
    repository.git("config", "filter.ours.smudge", command)
    repository.git("config", "filter.ours.required", "true")


def on_small_disk(mounted: Path, command: list[str], code: int) -> list[str]:
    """Return the output of a command on a disk of one MiB, followed by a list of the files on it."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare to mount a small disk with")
    script = 'disk=$1; shift; mount -t tmpfs -o size=1m none "$disk" && echo mounted && "$@"; code=$?; ls "$disk"'
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{script}; exit $code", "sh"]
    done = subprocess.run([*unshare, str(mounted), *command], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if "mounted" not in lines:
        pytest.skip("this user may not mount a small disk")
    assert done.returncode == code, done.stdout
    return lines


def without_privileges() -> list[str]:
    """Return the start of a command that obeys the modes of files, even as root."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("there is no setpriv to do without privileges with")
    return [
        "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search",
    ]
