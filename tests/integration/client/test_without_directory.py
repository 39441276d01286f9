"""The client in a directory that was removed: everything that needs none works, the rest says what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from aqueue import Client

PROGRAM = """
import os, sys
from aqueue import AqueueError, Client
queue = Client(sys.argv[1])
os.mkdir(sys.argv[2])
os.chdir(sys.argv[2])
os.rmdir(sys.argv[2])
assert queue.status()["servers"] == []
task = {"name": "t", "command": "true"}
for ask in (lambda: queue.add("true"), lambda: queue.enqueue(task), lambda: Client("q")):
    try:
        ask()
    except AqueueError as error:
        assert "current directory" in str(error) and error.hint, error
    else:
        raise AssertionError("accepted")
"""


@pytest.mark.parametrize("is_configured", [False, True])
def test_a_removed_current_directory_is_named(queue: Client, tmp_path: Path, is_configured: bool) -> None:
    if is_configured:
        (queue.path / "aqueue.yaml").write_text("jobs: 2\n")
    subprocess.run([sys.executable, "-c", PROGRAM, str(queue.path), str(tmp_path / "gone")], check=True)
