"""Nothing that others have written does anything to the terminal of who looks at it."""

import json
from pathlib import Path

import pytest

from tests.acceptance.driving import Place

# It fills the clipboard, changes colours in one byte, writes over the line, and turns the direction around.
EVIL = "\x1b]52;c;AAAA\x07\x9b31m\rx\x7f\u202eexe"
HARMFUL = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u202a\u202b\u202c\u202d\u202e\u2066\u2069"} - {
    "\n",
    "\t",
}


def harmless(text: str) -> bool:
    return not HARMFUL.intersection(text)


@pytest.fixture
def evil(place: Place) -> Place:
    """A place with runs and a schedule that are full of control characters."""
    place.task("one", f"true # {EVIL}", f"params: {{text: {json.dumps(EVIL)}}}", f"env: {{E: {json.dumps(EVIL)}}}")
    place.task("two", "exit 3", f"working_dir: {json.dumps('/nowhere/' + EVIL[:-1])}")
    place.drop("list.yaml", f"command: [{json.dumps('/nowhere/' + EVIL)}]\n")
    return place


def test_no_output_for_people_has_a_control_character(evil: Place) -> None:
    evil.drop(f"{EVIL}.yaml", f"command: x\n{json.dumps(EVIL)}: y\n")
    evil.drop(f"nightly{EVIL}.yaml", "name: nightly\nschedule: '@daily'\ncommand: 'true'\n")
    output = evil.base / "serve.txt"
    with output.open("w") as file:
        assert evil.start("serve", "--drain", "-v", stdout=file, stderr=file).wait(30) == 1
    said = output.read_text()
    assert "\\x1b]52;c;AAAA\\x07\\x9b31m" in said
    assert "rejected" in said
    assert harmless(said)
    errors = [path.read_text() for path in (evil.folder / "rejected").glob("*.error")]
    assert len(errors) == 1
    assert harmless(errors[0])
    commands = [["ls"], ["ls", "--metrics"], ["status"], ["schedules"], *(["show", f"{id_}"] for id_ in (1, 2, 3))]
    shown = [evil.run(*command) for command in commands]
    assert list(map(harmless, shown)) == [True] * len(shown)
    assert "\\x1b]52" in "".join(shown)
    for command in (["compare", "-x", EVIL, "-y", EVIL], ["ls", "--metrics", "--sort", EVIL]):
        complaint = evil.refuse(*command, code=1)
        assert "\\x1b]52" in complaint
        assert harmless(complaint)


@pytest.mark.parametrize(
    "command",
    [
        ["show", EVIL],
        ["--dir", EVIL, "ls"],
        ["wait", "--group", EVIL],
        ["cancel", EVIL],
        [EVIL],
        ["ls", EVIL],
        ["add", "--tags", EVIL, "true"],
        ["add", "--env", EVIL, "true"],
        ["enqueue", EVIL],
        ["check", EVIL],
    ],
)
def test_no_complaint_has_a_control_character(evil: Place, command: list[str]) -> None:
    done = evil.ask(*command)
    assert done.returncode in (1, 2)
    assert "\\x1b]52" in done.stderr
    assert harmless(done.stdout + done.stderr)


def test_check_shows_no_control_character_of_a_file(place: Place) -> None:
    file = place.path(f"{EVIL}.yaml")
    file.write_text(f"name: x\ncommand: 'true'\nmatrix: {{text: [{json.dumps(EVIL)}, b]}}\n")
    done = place.ask("check", file.name)
    assert done.returncode == 0
    assert "\\x1b]52" in done.stdout
    assert harmless(done.stdout)


def test_json_has_what_was_written_exactly_and_logs_are_the_commands_own(place: Place) -> None:
    place.task("one", 'printf %s "$text"', f"params: {{text: {json.dumps(EVIL)}}}")
    place.drain()
    for document in (place.run("show", "1", "--json"), place.run("ls", "--json")):
        assert harmless(document)
    assert place.show("1")["params"] == {"text": EVIL}
    assert Path(place.show("1")["log"]).read_bytes().decode() == EVIL
    assert place.ask("logs", "1").stdout.replace("\n", "\r") == EVIL
