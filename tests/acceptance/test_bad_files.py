"""Files with mistakes in them: what is said, where they go, and that nothing of them runs."""

from tests.acceptance.driving import Place

BAD = [
    ("comand: true\n", "1:1: unknown key 'comand'", "did you mean 'command'?"),
    ("command: a\ntimout: 3\n", "2:1: unknown key 'timout'", "did you mean 'timeout'?"),
    ("command: a\nretries: {limt: 3, limit: 1}\n", "2:11: unknown key 'limt'", "did you mean 'limit'?"),
    ("command: a\nxyzzy: 1\n", "2:1: unknown key 'xyzzy'", "known keys: command, name"),
    ("command: a\ncommand: b\n", "2:1: 'command' is given twice", "keep one"),
    ("command: a\ntimeout: soon\n", "2:10: timeout: expected a length of time", ""),
    ("command: a\nretries:\n  limit: 1\n  exit_codes: [1, x]\n", "4:19: retries.exit_codes", ""),
    ("name: a b\ncommand: a\n", "1:7: name: expected 1 to 64 letters", ""),
    ("command: a\npriority: urgent\n", "2:11: priority: expected high or low", ""),
    ("command: a\nhold: maybe\n", "2:7: hold: expected true or false", ""),
    ("command: {a: b}\n", "1:10: command: expected a shell command", ""),
    ("command: []\n", "1:10: the command is empty", ""),
    ("name: x\n", "1:1: 'command' is missing", "add: command"),
    ("command: a: b\n", "1:11: not valid YAML", "quote text"),
    ("command: a\n\tname: x\n", "2:1: not valid YAML", "not tabs"),
    ("command: !!python/object/apply:os.system [touch ran]\n", "1:10: a tag (!…) is not allowed", "leave it out"),
    ("command: a\ngpus: two\n", "2:7: gpus: expected a number of GPUs, or a list", ""),
    ("command: a\ngpus: 0\ngpu_memory: 1GiB\n", "3:1: gpu_memory: gpus is 0", "leave one of them out"),
    ("command: a\nenv: {AQUEUE_ID: 3}\n", "2:7: env: names that begin with AQUEUE_", "another"),
    (
        "- command: a\n",
        "1:1: expected keys and values, got a list",
        "write each task as its own document, with --- between them",
    ),
    ("# nothing\n", "1:1: there is no task in it", "command"),
    ("hodl: true\ncommand: a\ntimeout: soon\n", "3:10: timeout: expected", "did you mean 'hold'?"),
]  # fmt: skip


def test_each_mistake_is_explained_where_it_is_and_check_says_the_same(place: Place) -> None:
    paths = []
    for number, (content, _, _) in enumerate(BAD):
        place.drop(f"bad{number}.yaml", content)
        (place.base / f"bad{number}.yaml").write_text(content)
        paths.append(f"bad{number}.yaml")
    text = place.drain()
    done = place.ask("check", *paths)
    assert done.returncode == 2
    for number, (_, message, hint) in enumerate(BAD):
        told = (place.folder / f"rejected/bad{number}.yaml.error").read_text()
        assert f"bad{number}.yaml:{message}" in told
        assert hint in told
        for line in told.splitlines():
            assert line in text
            assert line in done.stderr
        assert (place.folder / f"rejected/bad{number}.yaml").exists()
    assert place.ls() == []


def test_check_says_which_tasks_there_are_and_queues_none_of_them(place: Place) -> None:
    place.path("good.yaml").write_text("command: a\n---\nname: b\ncommand: b\n")
    assert place.run("check", "good.yaml") == "good.yaml: 2 tasks: good, b\n"
    assert not place.folder.exists()
    assert "nobody.yaml: cannot be read: No such file" in place.ask("check", "nobody.yaml").stderr


def test_check_goes_on_after_a_bad_file_and_exits_with_2(place: Place) -> None:
    place.path("good.yaml").write_text("command: a\n")
    place.path("bad.yaml").write_text("command: 3: 4\n")
    done = place.ask("check", "bad.yaml", "good.yaml")
    assert done.returncode == 2
    assert done.stdout == "good.yaml: 1 task: good\n"


def test_a_rejected_file_does_not_replace_an_earlier_one(place: Place) -> None:
    place.drop("bad.yaml", "first: 1\n")
    place.drain()
    place.drop("bad.yaml", "second: 2\n")
    place.drain()
    contents = sorted(path.read_text() for path in (place.folder / "rejected").glob("*.yaml"))
    assert contents == ["first: 1\n", "second: 2\n"]
    assert len(list((place.folder / "rejected").glob("*.error"))) == 2


def test_a_bad_configuration_keeps_the_server_from_starting(place: Place) -> None:
    place.init()
    (place.folder / "aqueue.yaml").write_text("jobs: 2\nidle_timeot: 3s\n")
    complaint = place.refuse("serve", code=2)
    assert "queue/aqueue.yaml:2:1: unknown key 'idle_timeot'" in complaint
    assert "did you mean 'idle_timeout'?" in complaint


def test_two_tasks_of_one_name_are_refused_by_check_and_by_the_server(place: Place) -> None:
    text = "name: a\ncommand: 'true'\n---\nname: a\ncommand: 'true'\n"
    place.path("jobs.yaml").write_text(text)
    place.drop("jobs.yaml", text)
    assert "jobs.yaml:4:7: there already is a task a in this file" in place.refuse("check", "jobs.yaml", code=2)
    assert "jobs.yaml:4:7: there already is a task a in this file" in place.drain()
    assert place.ls() == []


def test_a_list_of_whole_lines_is_warned_of_and_its_run_says_what_a_list_is(place: Place) -> None:
    place.drop("lines.yaml", "command: ['echo a', 'echo b']\n")
    checked = place.ask("check", "queue/lines.yaml")
    assert checked.returncode == 0
    assert (
        "warning: queue/lines.yaml: lines: there is no program 'echo a': a list is one command" in checked.stderr
    )
    place.drain()
    assert "there is no program 'echo a': a list is one command" in place.rows()["lines"]["reason"]


def test_tasks_without_a_name_are_taken_and_check_warns_that_they_have_one_name(place: Place) -> None:
    text = "command: 'true'\n---\ncommand: 'true'\n"
    place.path("jobs.yaml").write_text(text)
    done = place.ask("check", "jobs.yaml")
    assert (done.returncode, done.stdout) == (0, "jobs.yaml: 2 tasks: jobs, jobs\n")
    assert "2 tasks have the same name, jobs; give each task its own `name`" in done.stderr
    place.drop("jobs.yaml", text)
    place.drain()
    assert [row["state"] for row in place.ls()] == ["succeeded", "succeeded"]
