"""A value in a task file reaches the command, people and, with its type, scripts as it is written."""

import csv

from tests.acceptance.driving import Place

VERSIONS = """\
name: 3.20
group: 1.0
tags: [3.10]
queue: 2.50
command: [sh, -c, 'echo "$0 $1 $ver $sha $flag [$none] $V" && echo "AQUEUE_METRIC acc=0.$1"', 1e3, "${n}"]
params: {ver: 1.20, sha: 5319e70, flag: True, none: "", n: 1}
env: {V: 3.10}
matrix: {py: [3.9, 3.10]}
"""


def test_what_is_written_arrives_and_its_type_is_told_to_scripts(place: Place) -> None:
    place.init()
    place.path("versions.yaml").write_text(VERSIONS)
    place.run("enqueue", str(place.path("versions.yaml")), "--", "n=01", "sha=1.50")
    place.drain("-j", "2")
    rows = place.ls()
    assert [(row["name"], row["group"], row["queue"], row["tags"]) for row in rows] == [
        ("3.20-1", "1.0", "2.50", ["3.10"]), ("3.20-2", "1.0", "2.50", ["3.10"]),
    ]  # fmt: skip
    assert place.output(rows[0]).splitlines()[0] == "1e3 01 1.20 1.50 True [] 3.10"
    assert rows[1]["params"] == {"ver": 1.2, "sha": 1.5, "flag": True, "none": "", "n": "01", "py": 3.1}
    text = {"ver": "1.20", "sha": "1.50", "flag": "True", "none": "", "n": "01", "py": "3.10"}
    assert rows[1]["params_text"] == place.show("2")["params_text"] == text
    assert "ver=1.20, sha=1.50, flag=True, none=, n=01, py=3.10" in place.run("show", "2")
    table = list(csv.DictReader(place.run("ls", "--metrics", "--csv").splitlines()))
    assert [(row["py"], row["ver"], row["none"]) for row in table] == [("3.9", "1.20", ""), ("3.10", "1.20", "")]
    by_type = place.run("ls", "--metrics", "--sort", "py").splitlines()[1:]
    assert [line.split()[0] for line in by_type] == ["2", "1"]
    compared = place.run("compare", "-x", "py", "-y", "acc", "--by", "ver").splitlines()
    assert [line.split()[:2] for line in compared[2:]] == [["3.10", "1.20"], ["3.9", "1.20"]]


def test_the_home_of_a_person_is_written_as_a_shell_has_it(place: Place) -> None:
    place.path("home").mkdir()
    place.drop("here.yaml", "command: pwd\nworking_dir: ~\n")
    place.serve("--drain", env={"HOME": str(place.path("home"))}).ends()
    assert place.output(place.rows()["here"]) == f"{place.path('home')}\n"


PLACEHOLDERS = """\
command: [sh, -c, 'echo "$0 $1 $PATH $OUT"; echo $${HOME}', "${AQUEUE_ID}", "${FROM}:${train.lr}"]
params: {train.lr: 0.10}
env: {PATH: "/opt/x/bin:${PATH}", OUT: "${AQUEUE_NAME}-${train.lr}"}
"""


def test_what_is_in_braces_is_a_param_or_a_variable_of_the_run(place: Place) -> None:
    place.init()
    place.path("braces.yaml").write_text(PLACEHOLDERS)
    place.run("enqueue", str(place.path("braces.yaml")), "--", "train.lr=0.50")
    place.serve("--drain", env={"FROM": "server", "HOME": "/me"}, wait=False).ends()
    first, second = place.output(place.rows()["braces"]).splitlines()
    assert first.startswith("1 server:0.50 /opt/x/bin:/")
    assert first.endswith(" braces-0.50")
    assert second == "/me"


def test_a_name_that_is_neither_is_found_by_check_or_fails_the_run_with_a_sentence(place: Place) -> None:
    place.drop("near.yaml", "command: [echo, '${lrr}']\nparams: {lr: 0.1}\n")
    place.drop("far.yaml", "command: [echo, '${FAR}']\n")
    said = place.refuse("check", "queue/near.yaml", code=2)
    assert "near.yaml:1:17: command: ${lrr} is neither a param nor a variable" in said
    assert "far.yaml:1:17: command: ${FAR} is neither" in place.refuse("check", "queue/far.yaml", code=2)
    place.path("two.yaml").write_text("command: [echo, '${FAR}']\n---\nname: b\ncommand: [echo, '${AWAY}']\n")
    both = place.refuse("check", "two.yaml", code=2)
    assert "two.yaml:1:17: command: ${FAR}" in both
    assert "two.yaml:4:17: command: ${AWAY}" in both
    assert place.ask("check", "queue/far.yaml", env={"FAR": ""}).returncode == 0
    server = place.serve("--drain", wait=False)
    server.ends()
    assert "rejected near.yaml:1:17" in server.text
    row = place.rows()["far"]
    assert (row["state"], row["reason"]) == (
        "failed",
        "cannot be started: ${FAR} is neither a param nor a variable of its environment;"
        " to leave it as it is, write $${FAR}",
    )


def test_a_name_that_nobody_here_knows_is_queued_with_a_warning(place: Place) -> None:
    place.init()
    place.path("two.yaml").write_text("command: [echo, '${FAR}']\n---\nname: b\ncommand: [echo, '${AWAY}']\n")
    queued = place.ask("enqueue", "two.yaml").stderr
    assert "warning: two.yaml:1:17: command: ${FAR} is neither a param nor a variable of its environment" in queued
    assert "two.yaml:4:17: command: ${AWAY}" in queued
    assert "warning" not in place.ask("enqueue", "two.yaml", env={"FAR": "", "AWAY": ""}).stderr


def test_what_is_typed_on_a_command_line_is_not_filled_in_again(place: Place) -> None:
    place.init()
    place.run("add", "-n", "typed", "--env", "A=${HOME} $${x}", "--", "sh", "-c", 'echo "$0 $A"', "${HOME} $${x}")
    place.drain()
    assert place.output(place.rows()["typed"]) == "${HOME} $${x} ${HOME} $${x}\n"


def test_a_misspelt_param_is_refused_and_one_with_dots_is_whole(place: Place) -> None:
    place.init()
    place.path("train.yaml").write_text("command: echo $train_lr $wd\nparams: {train.lr: 0.1}\n")
    said = place.refuse("enqueue", "train.yaml", "--", "lrr=0.5", code=2)
    assert said.splitlines() == [
        "error: there is no param lrr",
        "did you mean train.lr=0.5? To add it anyway, write before --: --new lrr=0.5",
    ]
    for word in ("train.lrr=0.5", "LR=0.5", "--lr=0.5", "lr:0.5", "learning-rate=0.5"):
        place.refuse("enqueue", "train.yaml", "--", word, code=2)
    place.run("enqueue", "train.yaml", "--new", "wd=1e-4", "--", "train.lr=0.50")
    place.drain()
    (row,) = place.ls()
    assert (place.output(row), row["params"]) == ("0.50 1e-4\n", {"train.lr": 0.5, "wd": 0.0001})
