"""A server without inotify: everything goes on, once a second, and it says so."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.background import end_all, start
from tests.acceptance.driving import Place

IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "sh", "-c")
LIMITS = "/proc/sys/user/max_inotify"
NO_INSTANCE = "warning no inotify instance is left: the folder is checked once a second instead; `sysctl "
NO_WATCH = "warning no inotify watch is left: the folder is checked once a second instead; `sysctl "


def limited(base: Path, of: str, number: int) -> Iterator[Place]:
    """A place where each command can have so few of these."""
    prefix = (*IN_NAMESPACE, f'echo {number} >{LIMITS}_{of} && exec "$@"', "sh")
    if (
        not shutil.which("unshare")
        or subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("needs user namespaces, in which the limits of inotify can be lowered")
    place = Place(base, prefix)
    place.init()
    try:
        yield place
    finally:
        end_all(place)
        place.close()


@pytest.fixture
def no_instance(tmp_path: Path) -> Iterator[Place]:
    yield from limited(tmp_path, "instances", 0)


@pytest.fixture
def few_watches(tmp_path: Path) -> Iterator[Place]:
    """As many watches as a folder without sub-folders needs."""
    yield from limited(tmp_path, "watches", 2)


def test_without_an_instance_files_are_taken_and_runs_are_followed_and_waited_for(no_instance: Place) -> None:
    place = no_instance
    server = place.serve()
    place.task("long", f"echo one; {place.until('go')}; echo two")
    place.becomes("long", "running")
    follower, waiter = (
        place.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in (("logs", "-f", "1"), ("wait", "1"))
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == "one\n"
    place.path("go").touch()
    rest, notes = follower.communicate(timeout=10.0)
    assert (rest, "1 long succeeded" in notes) == ("two\n", True)
    said, complaint = waiter.communicate(timeout=10.0)
    assert (said.split()[:3], complaint) == (["1", "long", "succeeded"], "")
    assert (follower.returncode, waiter.returncode) == (0, 0)
    place.drop("aqueue.yaml", "queues: {lane: {max_concurrent_jobs: 1}}\n")
    place.task("sub/deep/later", "true")
    place.becomes("later", "succeeded")
    assert server.text.count(NO_INSTANCE) == server.text.count("inotify ") == 1


def test_a_server_without_an_instance_is_up_when_start_says_so(no_instance: Place) -> None:
    server = start(no_instance)
    assert server.log.read_text().count(NO_INSTANCE) == 1
    no_instance.add("true", "-n", "hello")
    no_instance.becomes("hello", "succeeded")
    assert not server.is_gone


def test_a_new_sub_folder_that_uses_up_the_watches_does_not_end_the_server(few_watches: Place) -> None:
    place = few_watches
    server = place.serve()
    assert "inotify" not in server.text
    for number in range(2):
        place.task(f"sub{number}/t{number}", "true")
        place.becomes(f"t{number}", "succeeded")
    assert server.process.poll() is None
    assert server.text.count(NO_WATCH) == server.text.count("inotify ") == 1
