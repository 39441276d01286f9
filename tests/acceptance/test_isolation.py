"""`isolate: git`: runs in checkouts of the code as it was when they were queued."""

import os
import random
import sqlite3
import time
from pathlib import Path

import pytest

from tests.acceptance.driving import OVER, Place, Row
from tests.acceptance.test_chaos import SECONDS, SEED
from tests.integration.repositories import Repository, hide_configuration
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


class Project(Repository):
    """A repository with a folder in it, which git ignores."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.base)
        self.place = place
        self.git("init", "-q", "-b", "main")
        self.write(".gitignore", "/queue/\n/data/\n/out*\n/ledger\n.draft*\n.server*\n")
        self.edit(1)
        self.commit()
        place.init()

    def edit(self, version: int) -> None:
        # At once: a snapshot of a file that is just being written has what is there of it.
        self.write("data/draft", f"echo version {version}\n").rename(self.path / "say.sh")

    @property
    def refs(self) -> list[str]:
        """The private references."""
        return self.git("for-each-ref", "--format=%(refname)", "refs/aqueue").split()

    def noticed(self) -> list[str]:
        """Return unwanted leftovers: worktrees, locks, changes of the index and of the working tree."""
        git_dir = self.path / ".git"
        strange = [str(path) for path in git_dir.rglob("*.lock")]
        strange += self.git("worktree", "list").splitlines()[1:]
        return strange + self.git("status", "--porcelain").splitlines() + self.git("stash", "list").splitlines()

    def checkouts(self) -> list[Path]:
        return sorted(self.place.state.glob("runs/*/checkout-*"))

    def snapshots(self) -> set[str]:
        """The references that the store knows of."""
        with sqlite3.connect(self.place.state / "state.db") as connection:
            return {ref for (ref,) in connection.execute("SELECT ref FROM snapshots")}


@pytest.fixture
def project(place: Place, monkeypatch: pytest.MonkeyPatch) -> Project:
    hide_configuration(monkeypatch)
    place.environment = {key: text for key, text in os.environ.items() if not key.startswith("AQUEUE_")}
    return Project(place)


def output(place: Place, row: Row) -> str:
    return place.output(row).strip()


def test_a_run_has_the_code_as_it_was_when_its_file_was_taken(project: Project, place: Place) -> None:
    server = place.serve()
    project.edit(2)
    place.task("old", "sh say.sh", "isolate: git", "hold: true")
    server.says("accepted")
    project.edit(3)
    place.task("new", "sh say.sh", "isolate: git")
    assert output(place, place.becomes("new", *OVER)) == "version 3"
    place.run("release", "1")
    assert output(place, place.becomes("old", *OVER)) == "version 2"
    assert project.noticed() == [" M say.sh"]


def test_a_run_has_the_code_as_it_was_when_it_was_queued(project: Project, place: Place) -> None:
    project.write("fit.yaml", "command: sh say.sh\nisolate: {git: true}\n")
    project.edit(2)
    place.run("enqueue", "fit.yaml")
    place.run("add", "-n", "added", "--isolate", "--", "sh say.sh")
    project.edit(3)
    place.drain()
    assert [output(place, row) for row in place.ls()] == ["version 2", "version 2"]
    assert project.noticed() == [" M say.sh", "?? fit.yaml"]


def test_runs_do_not_see_each_others_files(project: Project, place: Place) -> None:
    project.write("data/points", "linked")
    project.write(".env", "copied")
    command = f'echo $n >out; cat data/points .env; touch "{place.base}/at-$n"; {place.until("go")}; cat out'
    place.serve("-j", "3")
    place.task("t", command, "matrix: {n: [1, 2, 3]}", "isolate: {git: true, link: [data], copy: [.env]}")
    for number in "123":
        place.appears(f"at-{number}")
    place.path("go").touch()
    for number in "123":
        assert output(place, place.becomes(f"t-{number}", *OVER)) == f"linkedcopied{number}"
    assert not place.path("out").exists()
    assert project.checkouts() == []


def test_a_checkout_is_kept_after_failure_and_show_says_where(project: Project, place: Place) -> None:
    place.task("bad", "echo mine >left; exit 3", "isolate: git", "retries: 1")
    place.task("never", "exit 3", "isolate: {git: true, keep: never}")
    place.task("always", "true", "isolate: {git: true, keep: always}")
    place.task("stopped", "kill -9 0", "isolate: {git: true, keep: never}", "requeue: false")
    place.drain()
    shown = {name: place.show(str(row["id"]))["attempts"] for name, row in place.rows().items()}
    kept = {name: [attempt["checkout"] for attempt in attempts] for name, attempts in shown.items()}
    assert [(Path(path) / "left").read_text() for path in kept["bad"]] == ["mine\n", "mine\n"]
    assert kept["never"] == kept["stopped"] == [None]
    assert [str(path) for path in project.checkouts()] == sorted([*kept["bad"], *kept["always"]])
    assert kept["bad"][1] in place.run("show", str(place.rows()["bad"]["id"]))


def test_outputs_are_copied_to_the_folder_of_the_run(project: Project, place: Place) -> None:
    command = "mkdir -p out/deep; echo $0 >out/deep/a; echo '{\"loss\": 0.5}' >metrics.json"
    for name, isolate in (("apart", "isolate: git"), ("here", "isolate: false")):
        place.task(name, command, isolate, "outputs: [metrics.json, out/, missing]")
    place.drain()
    for row in place.rows().values():
        run_dir = place.state / "runs" / str(row["id"])
        assert (run_dir / "out" / "deep" / "a").exists()
        assert (run_dir / "metrics.json").exists()
        assert row["metrics"] == {"loss": 0.5}
        assert "there is no missing" in place.output(row)
    assert place.path("out").exists()


def test_what_cannot_be_isolated_is_rejected_with_its_place(place: Place) -> None:
    place.init()
    place.environment["GIT_CEILING_DIRECTORIES"] = str(place.base.parent)
    place.drop("t.yaml", "command: x\nisolate: git\n")
    said = place.drain()
    assert "t.yaml:2:1: isolate: " in said
    assert place.ls() == []
    place.refuse("add", "--isolate", "--", "true", code=1)


def test_a_missing_copy_fails_the_run_with_the_reason(project: Project, place: Place) -> None:
    place.task("t", "true", "isolate: {git: true, copy: [nothing]}")
    place.drain()
    row = place.rows()["t"]
    assert row["state"] == "failed"
    assert "there is no nothing" in row["reason"]
    assert project.checkouts() == []


def test_prune_removes_the_private_references(project: Project, place: Place) -> None:
    for version in (2, 3):
        project.edit(version)
        place.run("add", "--isolate", "--", "sh say.sh")
        place.run("add", "--isolate", "--", "sh say.sh")
    assert len(project.refs) == 2
    place.drain()
    place.run("retry", "1")
    assert place.run("prune", "--keep", "0").startswith("3 runs")
    assert len(project.refs) == 1
    place.drain()
    place.run("prune", "--keep", "0")
    assert project.refs == []
    assert project.noticed() == [" M say.sh"]


def test_an_isolated_run_outlives_its_server(project: Project, place: Place) -> None:
    server = place.serve()
    place.task("t", f"touch {place.base}/began; {place.until('go')}; sh say.sh; exit 7", "isolate: git")
    place.appears("began")
    server.kill()
    project.edit(2)
    place.path("go").touch()
    place.drain()
    row = place.rows()["t"]
    assert (row["exit_code"], row["attempt"], output(place, row)) == (7, 1, "version 1")


WRITE_AND_STAY = """command: |
  trap "" TERM
  echo kept >out.txt
  echo '{"loss": 2}' >metrics.json
  touch BASE/began
  UNTIL
isolate: {git: true, keep: KEEP}
outputs: [out.txt]
"""


def test_outputs_of_a_run_that_has_to_be_killed_are_saved(project: Project, place: Place) -> None:
    (place.folder / "aqueue.yaml").write_text("grace: 0.1s\n")
    text = WRITE_AND_STAY.replace("BASE", str(place.base)).replace("UNTIL", place.until("never"))
    place.drop("t.yaml", text.replace("KEEP", "never") + "timeout: 0.7s\n")
    place.drain()
    row = place.rows()["t"]
    assert (row["reason"], row["metrics"]) == ("timed out after 700ms", {"loss": 2})
    assert (place.state / "runs" / "1" / "out.txt").read_text() == "kept\n"
    assert project.checkouts() == []


def test_outputs_and_the_checkout_of_a_lost_run_are_there(project: Project, place: Place) -> None:
    server = place.serve()
    text = WRITE_AND_STAY.replace("BASE", str(place.base)).replace("UNTIL", place.until("never"))
    place.drop("t.yaml", text.replace("KEEP", "failed") + "requeue: false\n")
    place.appears("began")
    server.kill()
    place.kill_processes_of(1)
    place.drain()
    row = place.rows()["t"]
    assert (row["state"], row["metrics"]) == ("failed", {"loss": 2})
    assert (place.state / "runs" / "1" / "out.txt").read_text() == "kept\n"
    assert [path.name for path in project.checkouts()] == ["checkout-1"]


def test_the_tasks_of_a_file_have_the_same_code(project: Project, place: Place) -> None:
    place.drop(
        "t.yaml", "---\n".join(f"name: t{n}\ncommand: sh say.sh\nisolate: git\nhold: true\n" for n in range(20))
    )
    server = place.serve()
    for version in range(2, 40):
        project.edit(version)
        if "accepted" in server.text:
            break
        time.sleep(0.02)
    server.says("accepted", 20)
    commits = {place.show(str(row["id"]))["isolate"]["snapshot"]["commit"] for row in place.ls()[::6]}
    assert len(commits) == 1
    assert len(project.refs) == 1


@pytest.mark.timeout(SECONDS * 4 + 120)
def test_nothing_is_lost_or_left_behind_when_servers_are_killed_meanwhile(project: Project, place: Place) -> None:
    print(f"AQUEUE_CHAOS_SEED={SEED}")
    chance = random.Random(SEED)
    for number in range(300):
        project.write(f"more/{number}", "x" * 1000)
    project.commit()
    (place.folder / "aqueue.yaml").write_text("heartbeat: {interval: 0.2s}\n")
    deadline, count = time.monotonic() + SECONDS / 4, 0
    while time.monotonic() < deadline:
        server = place.serve("-j", "3", wait=chance.random() < 0.5)
        for _ in range(chance.randint(1, 3)):
            count += 1
            project.edit(count)
            command = f"echo {count} >>{place.base}/ledger; sh say.sh; sleep {chance.choice([0, 0.1])}"
            place.task(f"t{count}", command, "isolate: git")
            time.sleep(0.15 * chance.random() ** 2)
        time.sleep(0.5 * chance.random() ** 2)
        server.kill()
    place.drain("-j", "3", seconds=SECONDS * 3 + 60)

    rows = place.rows()
    assert {name for name, row in rows.items() if row["state"] != "succeeded"} == set()
    assert sorted(map(int, place.lines("ledger"))) == list(range(1, count + 1))
    for number in range(1, count + 1):
        # Of two versions that were there while the file was, a killed server's heir may have found the later one.
        assert int(output(place, rows[f"t{number}"]).removeprefix("version ")) >= number
    assert project.checkouts() == []
    assert project.noticed() == [" M say.sh"]
    assert set(project.refs) <= project.snapshots()
    # What a killed server was about to need is let go of after ten minutes.
    for left in (place.state / "scratch").iterdir():
        os.utime(left, (0, 0))
    with sqlite3.connect(place.state / "state.db") as connection:
        connection.execute("UPDATE snapshots SET used_at = used_at - 601 WHERE used_at > 601")
    place.run("prune", "--keep", "0")
    eventually(lambda: project.refs == [])
    assert project.snapshots() == set()
    assert list((place.state / "scratch").iterdir()) == []
