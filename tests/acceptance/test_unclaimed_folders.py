"""Files in a directory that is no aqueue folder are neither run nor moved."""

import pytest

from tests.acceptance.driving import Place

DEPLOY = "command: touch deployed\n"
SETTINGS = "debug: true\n"


@pytest.fixture
def theirs(place: Place) -> Place:
    """A place whose `queue/` belongs to another program."""
    (place.folder / "stage").mkdir(parents=True)
    (place.folder / "deploy.yaml").write_text(DEPLOY)
    (place.folder / "settings.yml").write_text(SETTINGS)
    (place.folder / "stage" / "x.yaml").write_text(DEPLOY)
    return place


def untouched(place: Place) -> bool:
    found = {str(path.relative_to(place.folder)) for path in place.folder.rglob("*")}
    return (
        found == {"deploy.yaml", "settings.yml", "stage", "stage/x.yaml"} and not place.path("deployed").exists()
    )


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--drain"],
        ["start"],
        ["serve", "queue"],
        ["--dir", "queue", "serve"],
        ["start", "--dir", "queue"],
    ],
)
def test_a_queue_with_somebodys_files_in_it_is_left_alone(theirs: Place, command: list[str]) -> None:
    what, remedy = theirs.refuse(*command, code=1).splitlines()
    assert what == (
        "error: queue/ is not an aqueue folder yet, and already contains files: deploy.yaml, settings.yml, stage"
    )
    assert remedy == "to run the task files in it: aqueue init queue, or --yes"
    assert untouched(theirs)


def test_with_yes_what_is_in_it_is_run(theirs: Place) -> None:
    assert "rejected settings.yml" in theirs.drain("--yes")
    assert theirs.path("deployed").exists()


def test_init_says_what_becomes_of_the_files_that_are_there_and_then_it_is_so(theirs: Place) -> None:
    done = theirs.ask("init")
    assert done.stdout == "queue/ is ready: drop *.yaml files into it, and run `aqueue serve`\n"
    assert done.stderr == (
        "warning: 3 files in it look like task files: deploy.yaml, settings.yml, stage/x.yaml; "
        "`aqueue serve` runs what is valid, and moves the rest to queue/rejected/\n"
    )
    assert theirs.ask("init").stderr == ""
    theirs.drain()
    assert theirs.path("deployed").exists()
    assert (theirs.folder / "rejected" / "settings.yml").read_text() == SETTINGS


@pytest.mark.parametrize("name", [None, "aqueue.yaml", ".gitignore"])
def test_a_queue_that_is_empty_absent_or_has_an_aqueue_yaml_is_taken(place: Place, name: str | None) -> None:
    if name is not None:
        place.folder.mkdir()
        (place.folder / name).write_text("")
    place.drain()
    assert (place.state / "runs").is_dir()


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "a/quue"],
        ["serve", "--dir", "a/quue"],
        ["--dir", "a/quue", "start"],
        ["start", "--dir", "a/quue"],
    ],
)
def test_a_misspelt_directory_makes_nothing(place: Place, command: list[str]) -> None:
    what, remedy = place.refuse(*command, code=1).splitlines()
    assert (what, remedy) == ("error: there is no directory a/quue", "create it: aqueue init a/quue")
    assert not place.path("a").exists()
    place.run("init", "a/quue")
    assert place.path("a/quue/.aqueue").is_dir()


def test_a_misspelt_aqueue_dir_makes_nothing(place: Place) -> None:
    complaint = place.refuse("serve", code=1, env={"AQUEUE_DIR": "quue"})
    assert "there is no directory quue" in complaint
    assert not place.path("quue").exists()
