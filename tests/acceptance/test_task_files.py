"""Task files, from the drop to the end of the run: what each key does."""

import os
import signal
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.acceptance.driving import Place, Row
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


def seconds(row: Row) -> float:
    """Return the duration of a run's last attempt."""
    started, finished = (datetime.fromisoformat(row[key]) for key in ("started_at", "finished_at"))
    return (finished - started).total_seconds()


def test_a_string_runs_in_the_shell_and_a_list_runs_as_it_is(place: Place) -> None:
    place.task("shell", "echo $((40 + 2)) *.none | tr a-z A-Z")
    place.drop("list.yaml", 'command: [printf, "%s|", "$HOME", "a b", "*", 7, true]\n')
    place.drain()
    rows = place.rows()
    assert place.output(rows["shell"]) == "42 *.NONE\n"
    assert place.output(rows["list"]) == "$HOME|a b|*|7|true|"


def test_a_script_of_several_lines_runs_as_one(place: Place) -> None:
    place.drop("script.yaml", 'command: |\n  cd /\n  set -- "$(pwd)" x\n  # a remark\n  echo "$1$2"\n  (exit 4)\n')
    place.drain()
    row = place.rows()["script"]
    assert (place.output(row), row["exit_code"]) == ("/x\n", 4)


def test_params_are_environment_variables_and_fill_in_lists_and_env_values(place: Place) -> None:
    place.drop(
        "sweep.yaml",
        "command: [sh, -c, 'echo \"$lr $NAME $OTHER ${layers} $flag $@\"', sh, '--lr=${lr}', '$${nobody}']\n"
        "params: {lr: 0.1, layers: 3, flag: true}\n"
        "env: {NAME: 'run-${lr}-${layers}', OTHER: 'keeps $${unknown}'}\n",
    )
    place.task("shell", "echo ${lr} $NAME", "params: {lr: 1e-3, NAME: loses}", "env: {NAME: wins}")
    place.drain()
    rows = place.rows()
    # A list is filled in before anything runs, the script in it included: it is an argument as any other.
    assert place.output(rows["sweep"]) == ("0.1 run-0.1-3 keeps ${unknown} 3 true --lr=0.1 ${nobody}\n")
    assert place.output(rows["shell"]) == "1e-3 wins\n"
    assert rows["sweep"]["params"] == {"lr": 0.1, "layers": 3, "flag": True}


def test_a_run_has_the_servers_environment_with_the_tasks_over_it(place: Place) -> None:
    place.environment |= {"FROM_SERVER": "yes", "BOTH": "server"}
    place.task("env", "echo $FROM_SERVER $BOTH $NUMBER", "env: {BOTH: task, NUMBER: 4}")
    place.drain()
    assert place.output(place.rows()["env"]) == "yes task 4\n"


def test_working_dir_is_relative_to_the_folders_parent(place: Place, tmp_path: Path) -> None:
    (place.base / "work").mkdir()
    place.task("relative", "pwd", "working_dir: work")
    place.task("absolute", "pwd", "working_dir: /")
    place.task("missing", "pwd", "working_dir: nowhere")
    place.drain()
    rows = place.rows()
    assert place.output(rows["relative"]) == f"{tmp_path}/work\n"
    assert place.output(rows["absolute"]) == "/\n"
    missing = rows["missing"]
    assert missing["state"] == "failed"
    assert f"working_dir {tmp_path}/nowhere" in missing["reason"]


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="there is no /bin/bash here")
def test_another_shell_can_be_named(place: Place) -> None:
    place.task("bash", "words=(a b c); echo ${words[2]} ${BASH_VERSION:+bash}", "shell: /bin/bash")
    place.drain()
    assert place.output(place.rows()["bash"]) == "c bash\n"


def test_a_run_that_takes_longer_than_its_timeout_is_stopped(place: Place) -> None:
    place.task("slow", "echo before; sleep 60", "timeout: 0.3s")
    place.task("fast", "true", "timeout: 60")
    place.drain()
    rows = place.rows()
    slow = rows["slow"]
    assert (slow["state"], slow["reason"]) == ("failed", "timed out after 300ms")
    assert 0.25 < seconds(slow) < 3.0
    assert place.output(slow).startswith("before\n")
    assert rows["fast"]["state"] == "succeeded"


def test_a_failed_run_is_tried_again_with_growing_delays(place: Place) -> None:
    stamp = "date +%s.%N >>stamps; exit 1"
    place.task("flaky", stamp, "retries: {limit: 3, delay: 0.2s, backoff: 3, max_delay: 0.5s}")
    place.drain()
    times = [float(line) for line in place.lines("stamps")]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(gaps) == 3
    assert all(least < gap < least + 1.0 for gap, least in zip(gaps, (0.2, 0.5, 0.5), strict=True)), gaps
    row = place.show(str(place.rows()["flaky"]["id"]))
    assert (row["state"], row["exit_code"], len(row["attempts"])) == ("failed", 1, 4)


def test_each_attempt_has_its_own_log_and_its_own_number(place: Place) -> None:
    place.task("twice", "echo attempt $AQUEUE_ATTEMPT; test $AQUEUE_ATTEMPT = 2", "retries: 5")
    place.drain()
    row = place.rows()["twice"]
    assert (row["state"], row["attempt"], row["exit_code"]) == ("succeeded", 2, 0)
    logs = [Path(attempt["log"]).read_text() for attempt in place.show(str(row["id"]))["attempts"]]
    assert logs == ["attempt 1\n", "attempt 2\n"]


def test_only_the_named_exit_codes_are_tried_again(place: Place) -> None:
    policy = "retries: {limit: 2, exit_codes: [75]}"
    place.task("temporary", "exit 75", policy)
    place.task("final", "exit 1", policy)
    place.drain()
    rows = place.rows()
    assert rows["temporary"]["attempt"] == 3
    assert rows["final"]["attempt"] == 1


def test_tags_may_be_a_list_or_one_text(place: Place) -> None:
    place.task("a", "true", "tags: [team=vision, nightly]")
    place.task("b", "true", "tags: team=audio, nightly")
    place.drain()
    rows = place.rows()
    assert rows["a"]["tags"] == ["team=vision", "nightly"]
    assert rows["b"]["tags"] == ["team=audio", "nightly"]


def test_a_held_run_starts_only_when_it_is_released(place: Place) -> None:
    place.serve()
    place.task("staged", "touch ran", "hold: true")
    row = place.becomes("staged", "held")
    place.task("other", "true")
    place.becomes("other", "succeeded")
    assert not place.path("ran").exists()
    place.run("release", str(row["id"]))
    place.appears("ran")


def test_each_document_of_a_file_is_a_task(place: Place) -> None:
    place.drop(
        "many.yaml",
        "command: echo 1 >>out\n---\nname: second\ncommand: echo 2 >>out\n---\n---\ncommand: echo 3 >>out\n",
    )
    place.drain()
    assert place.lines("out") == ["1", "2", "3"]
    assert [row["name"] for row in place.ls()] == ["many", "second", "many"]
    assert len({(row["name"], row["run_id"]) for row in place.ls()}) == 3


def test_a_second_write_to_the_same_name_is_never_swallowed(place: Place) -> None:
    server = place.serve()
    names = [f"t{number}" for number in range(100)]
    for number, name in enumerate(names):
        for write in ("first", "second"):
            (place.folder / f"{name}.yaml").write_text(f"command: 'true'\nhold: true\ntags: [{write}]\n")
            # Some of them in each phase of being taken.
            time.sleep(number % 10 * 0.0005)
    eventually(lambda: {row["name"] for row in place.ls() if row["tags"] == ["second"]} == set(names))
    rows = place.ls()
    assert len(rows) == len({(row["name"], *row["tags"]) for row in rows})
    server.signal(signal.SIGTERM)
    server.ends()
    for row in rows:
        assert f"[{row['tags'][0]}]" in (place.state / f"runs/{row['id']}/task.yaml").read_text()


def test_one_bad_document_rejects_the_whole_file(place: Place) -> None:
    place.drop("many.yaml", "command: touch ran\n---\nname: second\n")
    place.drain()
    assert place.ls() == []
    assert not place.path("ran").exists()
    assert "many.yaml:3:1: 'command' is missing" in (place.folder / "rejected/many.yaml.error").read_text()


def test_high_goes_before_low_whatever_came_first(place: Place) -> None:
    server = place.serve()
    place.task("block", place.until("go"))
    place.becomes("block", "running")
    for name, priority in (("l1", "low"), ("h1", "high"), ("l2", "low"), ("h2", "high")):
        place.task(name, f"echo {name} >>order", f"priority: {priority}")
    server.says("accepted", times=5)
    place.path("go").touch()
    eventually(lambda: len(place.lines("order")) == 4)
    assert place.lines("order") == ["h1", "h2", "l1", "l2"]


def test_the_command_knows_its_run(place: Place) -> None:
    place.environment["AQUEUE_SCHEDULED_FOR"] = "of somebody else"
    place.task("who", "env | grep ^AQUEUE_ | sort", "name: me", "queue: lane")
    place.drain()
    row = place.rows()["me"]
    assert place.output(row).splitlines() == [
        "AQUEUE_ATTEMPT=1",
        f"AQUEUE_ID={row['id']}",
        "AQUEUE_NAME=me",
        "AQUEUE_QUEUE=lane",
        f"AQUEUE_RUN_DIR={place.state}/runs/{row['id']}",
        f"AQUEUE_RUN_ID={row['run_id']}",
    ]
    assert (place.state / f"runs/{row['id']}/task.yaml").read_text().startswith("command: ")


def test_a_command_has_no_input_and_both_outputs_go_to_its_log(place: Place) -> None:
    place.task("io", "cat; echo out; echo err >&2; [ -t 0 ] || echo no terminal")
    place.drain()
    assert place.output(place.rows()["io"]) == "out\nerr\nno terminal\n"


def test_a_log_holds_nothing_but_what_the_command_wrote(place: Place) -> None:
    place.drop("killed.yaml", "command: [sh, -c, 'echo before; kill -TERM $$']\n")
    place.task("slow", "echo before; sleep 60", "timeout: 0.2s")
    place.drain("-j", "2")
    assert [place.output(row) for row in place.ls()] == ["before\n", "before\n"]


def test_how_a_run_failed_is_said_in_words(place: Place) -> None:
    place.drop("signal.yaml", "command: [sh, -c, 'kill -SEGV $$']\n")
    place.task("typo", "trian.py --lr 1")
    place.drop("gone.yaml", "command: [trian.py]\n")
    place.task("code", "exit 42")
    place.drain()
    told = {row["name"]: (row["state"], row["reason"]) for row in place.ls()}
    assert told == {
        "signal": ("failed", "killed by SIGSEGV"),
        "typo": ("failed", "command not found: trian.py"),
        "gone": ("failed", "command not found: trian.py"),
        "code": ("failed", "exit code 42"),
    }


def test_what_a_command_leaves_behind_is_stopped_with_it(place: Place) -> None:
    place.task("parent", "sleep 60 & echo $! >child")
    place.drain()
    assert place.rows()["parent"]["state"] == "succeeded"
    assert place.processes_of_runs() == []


def test_the_configuration_gives_defaults_to_tasks(place: Place) -> None:
    place.init()
    (place.folder / "aqueue.yaml").write_text("jobs: 4\ndefaults: {env: {A: a, B: b}, timeout: 0.3s, retries: 1}")
    place.task("plain", "echo $A $B >>out; test $AQUEUE_ATTEMPT = 2", "env: {B: own}")
    place.task("slow", "sleep 60", "retries: 0")
    place.drain()
    assert place.lines("out") == ["a own", "a own"]
    assert place.rows()["slow"]["reason"] == "timed out after 300ms"
