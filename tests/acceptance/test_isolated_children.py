"""Runs that are queued from within the checkout of a run."""

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.test_isolation import Project, output
from tests.integration.repositories import Repository, hide_configuration

QUEUE = f"{shlex.quote(sys.executable)} -m aqueue"
Ask = Callable[..., str]


@pytest.fixture
def project(place: Place, monkeypatch: pytest.MonkeyPatch) -> Project:
    hide_configuration(monkeypatch)
    place.environment = {key: text for key, text in os.environ.items() if not key.startswith("AQUEUE_")}
    project = Project(place)
    project.write("sub/say.sh", "echo below 1\n")
    project.write("fit.yaml", "command: cat say.sh; pwd\n")
    project.write("alone.yaml", "command: cat say.sh; pwd\nisolate: git\n")
    project.commit()
    return project


@pytest.fixture
def checkout(project: Project, place: Place) -> Path:
    """A checkout of version 1, while the user's directory has version 2."""
    place.run("add", "-n", "parent", "--isolate", "false")
    place.drain()
    project.edit(2)
    project.write("sub/say.sh", "echo below 2\n")
    return place.state / "runs" / "1" / "checkout-1"


def test_children_run_in_the_user_s_directory_and_isolated_ones_have_the_same_code(
    project: Project, place: Place
) -> None:
    deeper = f"{QUEUE} add -n leaf pwd; {QUEUE} add -n twin --isolate 'cat say.sh'"
    script = f"""\
    echo version 2 >{shlex.quote(str(project.path))}/say.sh
    {QUEUE} add -n plain 'cat say.sh; pwd' && {QUEUE} add -n alone --isolate 'cat say.sh'
    {QUEUE} enqueue fit.yaml && {QUEUE} enqueue -N alone-filed alone.yaml
    cd sub
    {QUEUE} add -n below 'cat say.sh; pwd' && {QUEUE} add -n alone-below --isolate 'cat say.sh'
    {QUEUE} add -n deeper --isolate -- {shlex.quote(deeper)}
    """
    place.run("add", "-n", "parent", "--isolate", script)
    place.drain("-j", "2")
    rows = place.rows()
    assert {row["state"] for row in rows.values()} == {"succeeded"}
    said = {name: output(place, row) for name, row in rows.items()}
    base = str(place.base)
    assert said["plain"] == f"version 2\n{base}"
    assert said["fit"] == f"version 2\n{base}"
    assert said["alone"] == "echo version 1"
    assert said["alone-filed"].startswith("echo version 1\n")
    assert said["below"] == f"echo below 1\n{base}/sub"
    assert said["alone-below"] == said["twin"] == "echo below 1"
    assert said["leaf"] == f"{base}/sub"
    assert {row["queue"] for row in rows.values()} == set(rows)
    codes = {row["isolate"]["snapshot"]["commit"] for name in rows if (row := place.show(name))["isolate"]}
    assert codes == {project.head}


def test_a_file_in_a_checkout_has_the_queue_of_the_sub_folder_that_the_user_knows(
    project: Project, place: Place
) -> None:
    project.write(".gitignore", "/queue/*\n!/queue/gpu/\n.draft*\n.server*\n")
    project.write("queue/gpu/fit.yaml", "command: 'true'\nhold: true\n")
    project.write("queue/rejected/fit.yaml", "command: 'true'\nhold: true\n")
    project.commit()
    place.run("add", "-n", "parent", "--isolate", "false")
    place.drain()
    checkout = place.state / "runs" / "1" / "checkout-1"
    assert (checkout / "queue" / "gpu").is_dir()
    for file in ("queue/gpu/fit.yaml", "alone.yaml"):
        place.run("enqueue", "-N", file.replace("/", "."), file, cwd=checkout)
    assert place.show("queue.gpu.fit.yaml")["queue"] == "gpu"
    assert place.show("alone.yaml")["queue"] == "alone.yaml"
    assert place.show("queue.gpu.fit.yaml")["working_dir"] == str(place.base)


def test_a_file_in_the_state_is_in_no_queue_named_after_its_directory(project: Project, place: Place) -> None:
    directory = place.state / "runs" / "7" / "sub"
    directory.mkdir(parents=True)
    (directory / "fit.yaml").write_text("command: 'true'\n")
    place.run("enqueue", str(directory / "fit.yaml"))
    assert place.show("1")["queue"] == "fit"


def test_a_directory_that_only_the_checkout_has_is_refused_unless_the_run_has_one_too(
    place: Place, checkout: Path
) -> None:
    (checkout / "made").mkdir()
    done = place.ask("add", "pwd", cwd=checkout / "made")
    assert done.returncode == 1
    assert f"is removed with its run, and {place.base}/made does not exist" in done.stderr
    place.run("add", "-n", "alone", "--isolate", "pwd", cwd=checkout / "made")
    place.drain()
    row = place.show("alone")
    assert (row["state"], row["working_dir"]) == ("succeeded", f"{place.base}/made")
    assert output(place, row) == f"{place.state}/runs/{row['id']}/checkout-1/made"


def test_what_a_child_is_told_of_the_environment_is_not_in_the_checkout(place: Place, checkout: Path) -> None:
    env = {"VIRTUAL_ENV": f"{checkout}/.venv", "PATH": f"{checkout}/.venv/bin:{os.environ['PATH']}"}
    place.run("add", "-n", "child", 'echo "$VIRTUAL_ENV"; echo "${PATH%%:*}"', cwd=checkout, env=env)
    place.drain()
    assert output(place, place.show("child")) == f"{place.base}/.venv\n{place.base}/.venv/bin"


def test_the_code_of_a_child_is_kept_when_that_of_its_parent_is_forgotten(
    project: Project, place: Place, checkout: Path
) -> None:
    project.edit(3)
    place.run("add", "-n", "edited", "--isolate", "false")
    place.drain()
    edited = place.state / "runs" / str(place.show("edited")["id"]) / "checkout-1"
    place.run("add", "-n", "child", "--isolate", "cat say.sh", cwd=edited)
    project.edit(4)
    place.run("prune", "--keep", "0s")
    project.git("gc", "-q", "--prune=now")
    place.drain()
    assert output(place, place.show("child")) == "echo version 3"


def test_another_repository_within_is_kept_as_it_is(project: Project, place: Place, checkout: Path) -> None:
    inner = project.path / "data" / "inner"
    inner.parent.mkdir(exist_ok=True)
    other = Repository.create(inner)
    (checkout / "data" / "inner").mkdir(parents=True)
    place.run("add", "-n", "child", "--isolate", "cat code.py", cwd=checkout / "data" / "inner")
    assert place.show("child")["isolate"]["snapshot"]["commit"] == other.head


def test_a_submodule_that_the_parent_was_given_is_missed_by_a_child_that_is_not(
    project: Project, place: Place
) -> None:
    library = Repository.create(place.base / "out-library")
    project.git("submodule", "--quiet", "add", library.path, "lib")
    project.write("parent.yaml", "command: 'false'\nisolate: {git: true, link: [lib]}\n")
    project.commit()
    place.run("enqueue", "parent.yaml")
    place.drain()
    done = place.ask("add", "--isolate", "true", cwd=place.state / "runs" / "1" / "checkout-1")
    assert "lib is a submodule" in done.stderr
    place.run("enqueue", "-N", "child", "parent.yaml", cwd=place.state / "runs" / "1" / "checkout-1")


def test_a_server_that_is_started_in_a_checkout_serves_the_folder_of_the_run(
    project: Project, place: Place
) -> None:
    project.write(".gitignore", "/queue/.aqueue/\n.draft*\n.server*\n")
    project.write("queue/aqueue.yaml", "jobs: 2\n")
    project.commit()
    place.run("add", "--isolate", "false")
    place.drain()
    checkout = place.state / "runs" / "1" / "checkout-1"
    assert (checkout / "queue" / "aqueue.yaml").exists()
    place.run("start", "--idle-timeout", "0s", cwd=checkout)
    place.run("stop", cwd=checkout)
    assert not (checkout / "queue" / ".aqueue").exists()


def test_a_run_finds_its_folder_wherever_it_works(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    place.init()
    place.drop("far.yaml", json.dumps({"command": f"{QUEUE} add -n child pwd", "working_dir": str(elsewhere)}))
    place.drain()
    assert output(place, place.rows()["child"]) == str(elsewhere)
    assert "there is no aqueue folder here or above" in place.ask("ls", cwd=elsewhere).stderr
