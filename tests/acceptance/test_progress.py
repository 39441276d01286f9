"""The progress of runs as people see it; what is told when is tested beside the client and the policy."""

import json

from tests.acceptance.driving import Place
from tests.acceptance.screen import Screen
from tests.waiting import eventually

ERASED = "\r\x1b[K"


def test_the_progress_of_runs_is_everywhere_and_wait_draws_it(place: Place) -> None:
    place.serve()
    place.task("train-1", f"echo AQUEUE_PROGRESS 1/4 warming up; {place.until('go')}", "group: train")
    place.task("train-2", "exit 3", "group: train")
    place.task("alone", "true")
    place.becomes("train-1", "running")
    eventually(lambda: (place.ls()[0]["progress"] or {}).get("fraction") == 0.25)
    listed = [line.split("\t")[5] for line in place.run("ls").splitlines()]
    assert [text.partition(",")[0] for text in listed[-1:]] == ["25% (1/4)"]
    assert "group train: 0/2" in place.run("status")
    (group,) = json.loads(place.run("status", "--json"))["groups"]
    assert (group["name"], group["total"], group["running"], group["queued"]) == ("train", 2, 1, 1)
    one, both = Screen(place, "wait", "train-1"), Screen(place, "wait", "--group", "train")
    try:
        eventually(lambda: b"[######..................] run 1 train-1 running, 25% (1/4)" in one.written)
        eventually(lambda: b"[###.....................] 0/2" in both.written)
        place.path("go").touch()
        assert (one.ends(), both.ends()) == (0, 1)
        assert one.written.decode().endswith(ERASED)
        # What is printed is not within a bar.
        lines = both.written.decode().replace("\r\n", "\n").split("\n")
        assert [line.rpartition(ERASED)[2].partition(" after")[0] for line in lines[:-1]] == [
            "1 train-1 succeeded",
            "2 train-2 failed",
        ]
    finally:
        one.close()
        both.close()
