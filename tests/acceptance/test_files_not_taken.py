"""Files in the folder that become no runs: who does not read the server's log learns of them all the same."""

import json
import os
from typing import Any

import pytest

from tests.acceptance.background import end_all, start
from tests.acceptance.driving import Place
from tests.waiting import eventually


def status(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.run("status", "--json"))
    return found


def test_what_a_server_in_the_background_rejects_or_leaves_is_told(place: Place) -> None:
    place.init()
    start(place)
    try:
        place.drop("v.YML", "command: 'true'\n")
        place.drop("aqueue.yml", "jobs: 2\n")
        draft = place.path("draft")
        draft.write_text("command: 'true'\n")
        draft.chmod(0o666)
        draft.rename(place.folder / "open.yaml")
        place.drop("typo.yaml", "comand: x\n")
        eventually(lambda: status(place)["rejected"]["count"] == 1)
        shown = place.run("status")
        assert "1 file in queue/rejected/, rejected/typo.yaml: typo.yaml:1:1: unknown key 'comand'; `" in shown
        assert "; `cat queue/rejected/typo.yaml.error` shows all of it\n" in shown
        assert "v.YML is not taken: the name of a task file must end in .yaml or .yml; rename it\n" in shown
        assert "aqueue.yml is not read: the configuration is aqueue.yaml" in shown
        refused = (
            "open.yaml cannot be taken: everybody can write to it, and so run commands in your name; chmod o-w"
        )
        assert refused in shown
        assert [one["file"] for one in status(place)["not_taken"]] == ["aqueue.yml", "open.yaml", "v.YML"]
        said = place.ask("ls").stderr
        assert said == "3 files in queue/ are not taken, 1 file was rejected: `aqueue status` says why\n"
        assert refused in place.ask("schedules").stderr
        waited = place.ask("wait")
        assert (waited.returncode, waited.stderr.startswith(refused)) == (1, True)
        os.chmod(place.folder / "open.yaml", 0o644)
        place.becomes("open", "succeeded")
        assert place.ask("wait").returncode == 0
    finally:
        end_all(place)


@pytest.mark.parametrize("quiet", [False, True])
def test_files_that_wait_for_a_server_are_work_that_is_not_over(place: Place, quiet: bool) -> None:
    place.init()
    place.task("one", "true")
    place.task("lane/two", "true")
    said = "2 files in queue/ are not taken yet: lane/two.yaml, one.yaml; no server is running\n"
    assert said in place.run("status")
    done = place.ask("wait", *(["-q"] if quiet else []))
    names = ("lane/two.yaml", "one.yaml")
    said = "".join(f"{name} is not taken yet: no server is running\n" for name in names)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "" if quiet else said)
    place.drain()
    assert status(place)["not_taken"] == []
    assert place.run("wait") == ""
    assert place.ask("ls").stderr == ""


def test_a_schedule_that_a_server_has_read_is_not_waiting_for_one(place: Place) -> None:
    place.init()
    place.task("nightly", "true", "schedule: '0 2 * * *'")
    assert [one["file"] for one in status(place)["not_taken"]] == ["nightly.yaml"]
    place.serve().says("scheduled")
    assert status(place)["not_taken"] == []
