"""Mishaps of people and disks: a server neither dies of them nor runs anything twice."""

import os
import shutil
import signal

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


@pytest.mark.parametrize(
    "key", ["working_dir: ~nobody-of-this-name/x", 'working_dir: "a\\0b"', 'shell: "/bin/sh\\0b"', "timeout: [1]"]
)
def test_a_task_that_could_never_start_is_rejected_and_the_server_goes_on(place: Place, key: str) -> None:
    server = place.serve()
    place.drop("bad.yaml", f"command: echo\n{key}\n")
    server.says("rejected")
    place.task("good", "true")
    place.becomes("good", "succeeded")


def test_names_that_are_not_utf_8_do_no_harm(place: Place) -> None:
    server = place.serve()
    folder = os.fsencode(place.folder)
    with open(folder + b"/\xff.txt", "w"):
        pass
    os.mkdir(folder + b"/d\xff")
    with open(folder + b"/\xff.yaml", "w") as file:
        file.write("command: echo\n")
    server.says("rejected")
    place.task("good", "true")
    place.becomes("good", "succeeded")
    server.kill()
    place.drain()


def test_what_the_terminal_cannot_show_does_not_end_the_server(place: Place) -> None:
    place.init()
    place.task("arrow", "echo →")
    server = place.serve("-v", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    place.becomes("arrow", "succeeded")
    assert "\\u2192" in server.text


def test_a_database_that_is_removed_under_the_server_ends_it_with_words(place: Place) -> None:
    (place.folder).mkdir(mode=0o700)
    (place.folder / "aqueue.yaml").write_text("heartbeat: {interval: 0.2s}\n")
    server = place.serve()
    (place.folder / ".aqueue" / "state.db").unlink()
    assert server.ends() == 1
    assert "was removed or replaced" in server.text
    assert "Traceback" not in server.text


def test_state_that_is_removed_under_the_server_ends_it_with_words(place: Place) -> None:
    server = place.serve()
    shutil.rmtree(place.folder / ".aqueue")
    assert server.ends() == 1
    assert "Traceback" not in server.text


def test_a_run_whose_files_were_removed_is_still_known_by_its_process(place: Place) -> None:
    server = place.serve()
    place.task("one", f"echo begun >>trace; {place.until('go')}; echo ended >>trace")
    place.appears("trace")
    server.kill()
    files = place.folder / ".aqueue" / "runs" / "1"
    shutil.rmtree(files)
    place.serve()
    # Until it has been found, its end would leave no trace.
    eventually((files / "attempt-1.pid").exists)
    place.path("go").touch()
    eventually(lambda: place.rows()["one"]["state"] not in ("queued", "running"))
    assert place.lines("trace") == ["begun", "ended"]


def test_a_file_whose_run_is_pruned_at_once_does_not_run_again(place: Place) -> None:
    server = place.serve()
    place.task("once", "echo run >>trace")
    place.becomes("once", "succeeded")
    place.run("prune", "--keep", "0")
    server.kill()
    place.drain()
    assert place.lines("trace") == ["run"]


def test_files_of_runs_that_an_old_copy_of_the_database_does_not_know_are_put_aside(place: Place) -> None:
    place.init()
    shutil.copy(place.folder / ".aqueue" / "state.db", place.path("copy"))
    place.task("one", "echo precious")
    place.drain()
    for suffix in ("", "-wal", "-shm"):
        (place.folder / ".aqueue" / f"state.db{suffix}").unlink(missing_ok=True)
    shutil.copy(place.path("copy"), place.folder / ".aqueue" / "state.db")
    assert "its files are now in" in place.drain()
    (log,) = (place.folder / ".aqueue" / "runs").glob("1.unknown-*/attempt-1.log")
    assert log.read_text() == "precious\n"


def test_a_folder_with_a_hidden_name_is_served_too(place: Place) -> None:
    hidden = place.path(".jobs")
    hidden.mkdir(mode=0o700)
    (hidden / "one.yaml").write_text("command: echo\n")
    assert "succeeded" in place.run("serve", str(hidden), "--drain", "--yes")


def test_the_folder_that_is_here_is_served_rather_than_one_above(place: Place) -> None:
    place.init()
    below = place.path("below")
    (below / "queue").mkdir(parents=True, mode=0o700)
    (below / "queue" / "one.yaml").write_text("command: echo\n")
    place.run("serve", "--drain", "--yes", cwd=below)
    assert (below / "queue" / ".aqueue" / "runs" / "1").is_dir()


def test_a_slot_that_one_server_frees_is_filled_by_another_at_once(place: Place) -> None:
    place.init()
    (place.folder / "aqueue.yaml").write_text("heartbeat: {interval: 1h}\n")
    first = place.serve()
    place.task("one", place.until("go"), "queue: q")
    place.becomes("one", "running")
    place.task("two", "true", "queue: q")
    place.becomes("two", "queued")
    place.serve()
    first.signal(signal.SIGINT)
    place.path("go").touch()
    place.becomes("two", "succeeded", seconds=5.0)


def test_a_slot_is_filled_by_another_server_although_its_own_starts_something_else(place: Place) -> None:
    place.init()
    (place.folder / "aqueue.yaml").write_text("heartbeat: {interval: 1h}\n")
    place.serve()
    place.task("one", place.until("go"), "queue: q")
    place.becomes("one", "running")
    place.task("other", place.until("stop"))
    place.task("two", "true", "queue: q")
    place.becomes("two", "queued")
    place.serve("--queue", "q")
    place.path("go").touch()
    place.becomes("two", "succeeded", seconds=5.0)
    place.path("stop").touch()
    place.becomes("other", "succeeded")


def test_where_a_run_cannot_have_its_files_it_waits_and_that_is_said(place: Place) -> None:
    server = place.serve()
    place.task("first", "true")
    place.becomes("first", "succeeded")
    runs = place.state / "runs"
    runs.rename(place.path("away"))
    place.add("true", "-n", "second")
    server.says(f"cannot make {runs}/2 (No such file or directory): no more runs are started until there is room")
    place.path("away").rename(runs)
    place.becomes("second", "succeeded")


def test_a_server_whose_folder_is_another_now_says_so_and_stops(place: Place) -> None:
    for name in ("one", "two"):
        place.run("init", name)
    (place.path("one") / "aqueue.yaml").write_text("heartbeat: {interval: 0.1s}\n")
    place.path("link").symlink_to("one")
    server = place.serve("link")
    place.path("link").unlink()
    place.path("link").symlink_to("two")
    assert server.ends() == 1
    assert "was removed or replaced" in server.text
