"""Permission to queue runs, and secrecy: tasks run with this user's rights."""

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually

SECRET = "hunter2"


BAD_ENVIRONMENTS = [
    "env: hunter2",
    "env: [TOKEN=hunter2]",
    "env: {TOKEN: [hunter2]}",
    "env: {TOKEN: {a: hunter2}}",
    "env: {TOKEN: hunter2, TOKEN: hunter2}",
    'env: {TOKEN: "hunter2\\0"}',
    'env: {TOKEN: "hunter2}',
    "env:\n  TOKEN: hunter2: x",
    "env: {TOKEN=hunter2}",
    "env: {TOKEN=hunter2: }",
    "env: {TOKEN: *hunter2}",
    "env: {TOKEN: !hunter2 x}",
    "env: {TOKEN: !hunter2}",
    "env: {1TOKEN: hunter2}",
    "env: {AQUEUE_ID: hunter2}",
    "env:\nTOKEN: hunter2",
    "enviroment: {TOKEN: hunter2}",
]


def other_members(group: int) -> set[str]:
    """The users but this one who are in a group."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    members = {user.pw_name for user in pwd.getpwall() if user.pw_gid == group}
    return members.union(grp.getgrgid(group).gr_mem) - {me}


def shared_group() -> int:
    """A group that this user may give files to and that others are in; skips the test where there is none."""
    mine = [group.gr_gid for group in grp.getgrall()] if os.geteuid() == 0 else os.getgroups()
    for group in mine:
        if other_members(group):
            return group
    pytest.skip("this user is in no group with other members")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("where", ["queue", "queue/lane"])
def test_a_folder_that_everybody_can_write_to_is_refused_with_the_chmod_that_mends_it(
    place: Place, where: str
) -> None:
    place.task("one", "touch ran")
    open_to_all = place.base / where
    open_to_all.mkdir(exist_ok=True)
    open_to_all.chmod(0o757)
    what, remedy = place.refuse("serve", "--drain", code=1).splitlines()
    assert "everybody can write" in what
    assert remedy == f"chmod o-w {open_to_all}"
    assert os.system(remedy) == 0
    place.drain()
    assert place.path("ran").exists()


def test_a_folder_that_a_group_with_other_members_can_write_to_is_refused(place: Place) -> None:
    group = shared_group()
    place.init()
    os.chown(place.folder, -1, group)
    place.folder.chmod(0o775)
    what, remedy = place.refuse("serve", "--drain", code=1).splitlines()
    assert "a group with other members can write" in what
    assert remedy == f"chmod g-w {place.folder}"
    assert os.system(remedy) == 0
    place.drain()


def test_a_users_own_private_group_may_write(place: Place) -> None:
    if other_members(os.getegid()):
        pytest.skip("this user's group has other members")
    place.init()
    place.folder.chmod(0o775)
    place.drain()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_rejected(place: Place) -> None:
    place.init()
    place.task("mine", "touch mine")
    file = place.base / "theirs"
    file.write_text("command: touch theirs\n")
    os.chown(file, 65534, -1)
    file.rename(place.folder / "theirs.yaml")
    assert "theirs.yaml: belongs to user 65534" in place.drain()
    assert place.path("mine").exists()
    assert not place.path("theirs").exists()
    assert "drop a file of your own" in (place.folder / "rejected/theirs.yaml.error").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_refused(place: Place) -> None:
    place.init()
    os.chown(place.folder, 65534, -1)
    # Root's own rights are what such a folder would lend to its owner.
    assert "belongs to user 65534" in place.refuse("serve", "--drain", code=1)


def test_what_aqueue_keeps_is_for_its_user_only_whatever_the_umask(place: Place) -> None:
    place.run("init")
    place.task("one", "echo output")
    place.drop("lane/deep/bad.yaml", "nothing\n")
    before = os.umask(0)
    try:
        place.drain()
    finally:
        os.umask(before)
    assert mode(place.state) == 0o700
    assert mode(place.state / "state.db") == 0o600
    rejected = place.folder / "rejected"
    for made in (rejected, rejected / "lane", rejected / "lane" / "deep"):
        assert mode(made) == 0o700
    assert mode(rejected / "lane" / "deep" / "bad.yaml.error") == 0o600
    place.state.chmod(0o755)
    place.drain()
    assert mode(place.state) == 0o700


def test_values_of_the_environment_are_told_to_nobody_but_the_command(place: Place) -> None:
    place.environment["TOKEN_OF_SERVER"] = SECRET
    place.init()
    (place.folder / "aqueue.yaml").write_text(f"defaults: {{env: {{DEFAULT: {SECRET}}}}}\n")
    place.task("good", "true", f"env: {{TOKEN: {SECRET}}}")
    place.task("bad", "exit 3", f"env: {{TOKEN: {SECRET}}}", "retries: 1")
    place.task("missing", "nonsense", f"env: {{TOKEN: {SECRET}}}")
    place.task("nowhere", "true", f"env: {{TOKEN: {SECRET}}}", "working_dir: nowhere")
    place.drop("large.yaml", f"command: [env]\nenv: {{TOKEN: {SECRET}{'x' * 200_000}}}\n")
    told = place.drain("-v")
    place.add("true", "--env", f"TOKEN={SECRET}", "-n", "added")
    done = place.ask("add", "--env", f"TO KEN={SECRET}", "--", "true")
    told += done.stdout + done.stderr
    told += place.run("ls") + place.run("ls", "--json") + place.run("show", "6") + place.run("show", "6", "--json")
    assert "Argument list too long" in told
    assert SECRET not in told


def test_a_mistake_in_an_environment_is_explained_without_its_values(place: Place) -> None:
    files = [f"bad{number}.yaml" for number in range(len(BAD_ENVIRONMENTS))]
    for file, written in zip(files, BAD_ENVIRONMENTS, strict=True):
        place.path(file).write_text(f"command: 'true'\n{written}\n")
    done = place.ask("check", *files)
    assert done.returncode == 2
    assert all(f"error: {file}:" in done.stderr for file in files)
    assert [line for line in (done.stdout + done.stderr).splitlines() if SECRET in line] == []


def test_a_rejected_file_is_the_only_place_that_its_secrets_are_in(place: Place) -> None:
    place.drop("bad.yaml", f"command: 'true'\nenv: {{TOKEN: [{SECRET}]}}\n")
    text = place.drain("-v")
    error = (place.folder / "rejected/bad.yaml.error").read_text()
    assert "env.TOKEN: expected" in error
    assert SECRET not in text + error
    assert SECRET in (place.folder / "rejected/bad.yaml").read_text()


def test_a_folder_is_made_for_its_user_alone_to_write_to_whatever_the_umask(place: Place) -> None:
    place.prefix = ("/bin/sh", "-c", 'umask 000; exec "$@"', "sh")
    place.run("init")
    assert place.folder.stat().st_mode & 0o777 == 0o755


def test_a_folder_whose_path_is_not_utf_8_is_refused(place: Place) -> None:
    odd = os.fsencode(place.base) + b"/odd\xff"
    os.mkdir(odd)
    done = place.ask("init", cwd=Path(os.fsdecode(odd)))
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not UTF-8" in done.stderr


def test_every_command_refuses_a_folder_that_others_can_swap(place: Place) -> None:
    place.run("init")
    place.base.chmod(0o757)
    for command in (["ls"], ["add", "--env", f"TOKEN={SECRET}", "--", "true"], ["prune"], ["serve"], ["start"]):
        complaint = place.refuse(*command, code=1)
        assert "everybody can write to" in complaint
        assert complaint.splitlines()[1] == f"chmod +t {place.base}"


def test_prune_deletes_nothing_behind_a_link(place: Place) -> None:
    place.run("init")
    ids = [place.add("true", "-n", name) for name in ("behind", "around")]
    place.drain()
    mine = place.path("mine")
    mine.mkdir()
    (mine / "precious").touch()
    run = place.state / "runs" / ids[0]
    run.rename(place.path("was"))
    run.symlink_to(mine)
    assert place.run("prune", "--keep", "0s") == "2 runs deleted\n"
    assert (mine / "precious").exists()
    assert list((place.state / "runs").iterdir()) == []
    place.add("true")
    place.drain()
    (place.state / "runs").rename(place.path("runs"))
    (place.state / "runs").symlink_to(place.path("runs"))
    assert "is a symbolic link" in place.refuse("prune", "--keep", "0s", code=1)
    assert [path.name for path in place.path("runs").iterdir()] == ["3"]


def test_a_waiting_file_that_others_can_write_to_is_taken_after_the_chmod_that_is_named(place: Place) -> None:
    place.run("init")
    server = place.serve()
    place.path("task").write_text("command: touch ran\n")
    place.path("task").chmod(0o666)
    place.path("task").rename(place.folder / "exposed.yaml")
    server.says("exposed.yaml cannot be taken: everybody can write to it, and so run commands in your name; chmod")
    assert place.ls() == []
    assert os.system(f"chmod o-w {place.folder}/exposed.yaml") == 0
    place.becomes("exposed", "succeeded")
    assert server.text.count("cannot be taken") == 1


@pytest.mark.parametrize("where", ["queue/exposed.yaml", "elsewhere.yaml"])
def test_a_file_that_others_can_write_to_is_neither_good_nor_queued_by_its_name(place: Place, where: str) -> None:
    place.run("init")
    file = place.path(where)
    file.write_text("command: touch ran\n")
    file.chmod(0o666)
    what = f"error: {where}: everybody can write to it, and so run commands in your name\n"
    assert place.refuse("enqueue", where, code=2) == f"{what}chmod o-w {file}\n"
    checked = place.refuse("check", where, code=2)
    assert checked.startswith(what)
    assert os.system(checked.strip().rpartition("\n")[2]) == 0
    assert place.run("check", where)
    assert place.run("enqueue", where) == "1\n"


def test_a_file_is_not_queued_by_its_name_where_others_can_put_another_in_its_place(place: Place) -> None:
    place.run("init")
    shared = place.path("shared")
    shared.mkdir()
    (shared / "x.yaml").write_text("command: 'true'\n")
    shared.chmod(0o757)
    assert f"everybody can write to {shared}" in place.refuse("enqueue", "shared/x.yaml", code=2)
    shared.chmod(0o1757)
    place.run("enqueue", "shared/x.yaml")


def test_schedules_says_that_the_file_of_one_is_refused_and_why(place: Place) -> None:
    place.run("init")
    server = place.serve()
    place.task("nightly", "true", "schedule: '0 2 * * *'")
    server.says("nightly")
    (place.folder / "nightly.yaml").chmod(0o666)
    server.says("in force")
    shown = place.run("schedules")
    assert "everybody can write to it, and so run commands in your name; chmod o-w" in shown
    (place.folder / "nightly.yaml").chmod(0o644)
    eventually(lambda: "everybody" not in place.run("schedules"))
