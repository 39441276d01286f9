"""`aqueue add` does and says the same whether it goes the quick way or the long one."""

import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from aqueue.cli import command_line, quick_add
from aqueue.folder.layout import Folder
from aqueue.folder.server_locks import ServerLock
from aqueue.formats import last_good_config
from aqueue.model.server import Leaving, Server
from aqueue.model.task import Task
from aqueue.store.database import connect, transaction
from aqueue.store.store import Store

PLAIN = ["--", "true"]


class Done(NamedTuple):
    """All that there is to see of a command once it is done."""

    code: int
    out: str
    err: str
    runs: list[tuple[Any, ...]]
    tags: list[tuple[Any, ...]]
    rung: bool


def nothing(folder: Folder) -> None:
    pass


class Scene:
    """A directory in which a folder is made anew for each way."""

    def __init__(self, base: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.folder = Folder(base / "queue")
        self._capture = capture
        self._patch = patch

    def both(
        self, arguments: list[str], before: Callable[[Folder], object] = nothing, *, outer: list[str] | None = None
    ) -> tuple[Done, bool]:
        """The result of an `add`, the same either way, and whether it went the quick way.

        Args:
            outer: the options before `add`.
        """
        line = [*(outer or []), "add", *arguments]
        quickly: list[int | None] = []

        def quick_first() -> int:
            quickly.append(quick_add.run(line))
            return command_line.run(line) if quickly[0] is None else quickly[0]

        quick = self._once(quick_first, before)
        long = self._once(lambda: command_line.run(line), before)
        assert quick == long
        return quick, quickly != [None]

    def _once(self, command: Callable[[], int], before: Callable[[Folder], object]) -> Done:
        shutil.rmtree(self.folder.path, ignore_errors=True)
        self.folder.create()
        with closing(connect(self.folder)):
            pass
        before(self.folder)
        # The same names and run_ids are made up each time.
        numbers = itertools.count(1)
        self._patch.setattr(os, "urandom", lambda size: next(numbers).to_bytes(size, "big"))
        with suppress(FileNotFoundError):
            os.utime(self.folder.bell, (0, 0))
        self._capture.readouterr()
        code = command()
        printed = self._capture.readouterr()
        rung = self.folder.bell.exists() and self.folder.bell.stat().st_mtime > 0
        return Done(code, printed.out, printed.err, *self._rows(), rung)

    def _rows(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        if not self.folder.database.exists():
            return [], []
        with closing(sqlite3.connect(self.folder.database)) as connection:
            try:
                columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
                columns.remove("created_at")
                columns.remove("task")
                runs = connection.execute(f"SELECT task, {', '.join(columns)} FROM runs ORDER BY id").fetchall()
                # A default may be left out of the text, or be there as an empty mapping.
                runs = [(msgspec.json.decode(task, type=Task), *others) for task, *others in runs]
                return runs, connection.execute("SELECT * FROM run_tags ORDER BY 1, 2").fetchall()
            except sqlite3.DatabaseError:
                return [], []


@pytest.fixture
def scene(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for key in os.environ:
        if key.startswith(("AQUEUE_", "CUDA_")):
            monkeypatch.delenv(key)
    monkeypatch.chdir(tmp_path)
    scene = Scene(tmp_path, capsys, monkeypatch)
    yield scene


@pytest.mark.parametrize(
    "arguments",
    [
        ["--", "true"],
        ["true"],
        ["echo 1; sleep 2 | cat > 'x y'"],
        ["--", "python", "train.py", "--lr", "0.1"],
        ["python", "train.py", "--", "-n", "b"],
        ["-n", "a", "true"],
        ["--name", "a.b-c_9", "-u", "gpu", "--", "true"],
        ["-u", "gpu", "--", "/usr/bin/env", ""],
        ["-na", "-ugpu", "true"],
        ["--priority", "high", "true"],
        ["--priority=low", "true"],
        ["--hold", "true"],
        ["--tags", "a=b,c", "true"],
        ["--tags= a = b, c,c,", "--hold", "--priority=high", "-n", "a", "--", "true", "--hold"],
        ["--name=a", "--queue=gpu", "--dir=queue", "--", "true"],
        ["--dir", "queue", "true"],
        ["--dir", "../{base}/queue/", "-n", "a", "true"],
        ["--", "  make all "],
        ["./a/./"],
        ["a/.."],
        ["a/../b/"],
        ["/"],
        ["~ü§~"],
        ["--", "printf", '"\\\t\n\x01\x1f\x7f\u2028é😀', "${HOME}"],
        ["--", *map(str, range(500))],
        ["x" * 100_000],
    ],
    ids=lambda arguments: " ".join(arguments)[:40].encode("unicode_escape").decode(),
)
def test_an_ordinary_command_goes_the_quick_way(scene: Scene, arguments: list[str]) -> None:
    base = scene.folder.parent.name
    done, quickly = scene.both([word.replace("{base}", base) for word in arguments])
    assert quickly
    assert (done.code, done.out, len(done.runs), done.rung) == (0, "1\n", 1, True)
    assert done.err == "no server is running: queued runs start once you run `aqueue serve`\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["--"], 2),
        ([""], 2),
        (["  "], 2),
        (["-n"], 2),
        (["-n", "a"], 2),
        (["-n", "a b", "true"], 2),
        (["-n", "..", "true"], 2),
        (["-n", "", "true"], 2),
        (["-n", "é", "true"], 2),
        (["-n", "x" * 65, "true"], 2),
        (["-u", "a/b", "true"], 2),
        (["-n", "--", "true"], 0),
        (["-n", "a", "-n", "b", "true"], 0),
        (["-n=a", "true"], 2),
        (["-u.", "true"], 2),
        (["--name=", "true"], 2),
        (["--queue=-a b", "true"], 2),
        (["--name=a", "-nb", "true"], 0),
        (["--dir=", "true"], 0),
        (["--nam", "a", "true"], 2),
        (["--no-such", "true"], 2),
        (["-x", "true"], 2),
        (["--help"], 0),
        (["-", "1"], 0),
        (["sleep 1", "2"], 2),
        (["--priority", "HIGH", "true"], 2),
        (["--hold=yes", "true"], 2),
        (["--hold"], 2),
        (["--tags", "=b", "true"], 2),
        (["--tags", "a\x01b", "true"], 2),
        (["--tags", "a", "--tags", "b", "true"], 0),
        (["--env", "A=1", "true"], 0),
        (["--env", "AQUEUE_X=1", "true"], 2),
        (["--timeout", "1h", "true"], 0),
        (["--gpus", "1", "true"], 0),
        (["--gpus", "0,1", "--gpu-memory", "1GiB", "true"], 0),
        (["--after", "7", "true"], 1),
        (["--after-any", "true"], 2),
        (["--group", "g", "true"], 0),
        (["--isolate", "true"], 1),
        (["--dir", "elsewhere", "true"], 1),
        (["--dir", "", "true"], 0),
        (["\udcff"], 2),
    ],
    ids=str,
)
def test_what_says_more_or_is_wrong_goes_the_long_way(scene: Scene, arguments: list[str], code: int) -> None:
    done, quickly = scene.both(arguments)
    assert not quickly
    assert done.code == code


@pytest.mark.parametrize(
    ("variables", "quickly", "code"),
    [
        ({"VIRTUAL_ENV": "/opt/v", "CONDA_PREFIX": ""}, True, 0),
        ({"PATH": "/a:/b\\c"}, True, 0),
        ({"AQUEUE_DIR": "queue"}, True, 0),
        ({"AQUEUE_DIR": "elsewhere"}, False, 1),
        ({"AQUEUE_QUEUE_ENABLED": "false"}, False, 1),
        ({"AQUEUE_QUEUE_ENABLED": "perhaps"}, False, 2),
        ({"AQUEUE_QUEUE_ENABLED": ""}, False, 0),
        ({"AQUEUE_GPUS": "0"}, False, 0),
        ({"CUDA_VISIBLE_DEVICES": "1"}, False, 0),
    ],
    ids=str,
)
def test_what_the_environment_says_counts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], quickly: bool, code: int
) -> None:
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    done, went_quickly = scene.both(PLAIN)
    assert (went_quickly, done.code) == (quickly, code)


def write_config(text: str) -> Callable[[Folder], object]:
    return lambda folder: folder.config.write_text(text)


def newer(folder: Folder) -> None:
    with closing(sqlite3.connect(folder.database)) as connection:
        connection.execute("PRAGMA user_version = 9999")


def foreign(folder: Folder) -> None:
    folder.database.write_bytes(b"no database " * 1000)


def lost(folder: Folder) -> None:
    (folder.runs / "1").mkdir()
    folder.database.unlink()


@pytest.mark.parametrize(
    ("before", "quickly", "code"),
    [
        (write_config("defaults: {env: {A: '1'}, timeout: 4h}\n"), False, 0),
        (write_config(" \n"), False, 0),
        (write_config("queues: {enabled: false}\n"), False, 1),
        (write_config("jbos: 1\n"), False, 2),
        (write_config(""), True, 0),
        (lambda folder: folder.config.symlink_to("nowhere"), False, 2),
        (lambda folder: folder.last_good.write_text("defaults: {timeout: 4h}\n"), True, 0),
        (lambda folder: folder.path.chmod(0o777), False, 1),
        (lambda folder: folder.state.chmod(0o702), False, 1),
        (lambda folder: (folder.state / "link").symlink_to("/tmp"), False, 1),
        (lambda folder: folder.bell.unlink(), True, 0),
        (lambda folder: folder.database.unlink(), False, 0),
        (newer, False, 1),
        (foreign, False, 1),
        (lost, False, 1),
    ],
)
def test_what_is_in_the_folder_counts(
    scene: Scene, before: Callable[[Folder], object], quickly: bool, code: int
) -> None:
    done, went_quickly = scene.both(PLAIN, before)
    assert (went_quickly, done.code) == (quickly, code)


def known_config(text: str) -> Callable[[Folder], object]:
    """A configuration that a command has found good."""

    def write(folder: Folder) -> None:
        folder.config.write_bytes(text.encode())
        last_good_config.load(folder, {})

    return write


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("jobs: 2\n", []),
        ("\ufeffjobs: 2\r\n# ü😀\r\n", []),
        ('defaults: {env: {A: \'1\', B: "\\e\\\\\\"é"}, timeout: 1h30m, retries: 2, log: {limit: 1MiB}}\n', []),
        ("queues: {config: [{name: gpu}, {name: cpu, paused: true}]}\n", []),
        ("queues: {config: [{name: gpu}, {name: cpu, paused: true}]}\n", ["-u", "cpu"]),
        ("defaults: {env: {A: b}}\n", ["-u", "any", "-na"]),
        ("notify: [{name: phone, ntfy: https://ntfy.sh/x, on: failed}]\n", []),
    ],
)
def test_a_known_configuration_applies_in_the_quick_way(scene: Scene, text: str, arguments: list[str]) -> None:
    done, quickly = scene.both([*arguments, *PLAIN], known_config(text))
    assert quickly
    assert (done.code, len(done.runs)) == (0, 1)


@pytest.mark.parametrize(
    ("text", "arguments", "code", "told"),
    [
        ("queues: {config: [{name: gpu}]}\n", ["-u", "gpus"], 0, "did you mean gpu?"),
        ("queues: {enabled: false}\n", [], 1, "queues are disabled"),
    ],
)
def test_what_a_known_configuration_has_to_tell_is_told_in_the_long_way(
    scene: Scene, text: str, arguments: list[str], code: int, told: str
) -> None:
    done, quickly = scene.both([*arguments, *PLAIN], known_config(text))
    assert not quickly
    assert done.code == code
    assert told in done.err


def damage(content: bytes) -> Callable[[Folder], object]:
    return lambda folder: folder.config_for_add.write_bytes(content)


def of_another_version(folder: Folder) -> None:
    text = folder.config_for_add.read_text()
    folder.config_for_add.write_text(text.replace('"version":"', '"version":"9.'))


def keep_only_text(folder: Folder) -> None:
    """Do the first half of keeping another configuration, as one who dies in the middle."""
    folder.config.write_text("defaults: {timeout: 2h}\n")
    folder.last_good.write_text("defaults: {timeout: 2h}\n")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (write_config("defaults: {timeout: 3h}\n"), 0),
        (write_config("jbos: 1\n"), 0),
        (keep_only_text, 0),
        (lambda folder: folder.last_good.write_text("jobs: 3\n"), 0),
        (lambda folder: folder.last_good.unlink(), 0),
        (lambda folder: folder.config.chmod(0o666), 0),
        (lambda folder: folder.config_for_add.unlink(), 0),
        (of_another_version, 0),
        (damage(b""), 0),
        (damage(b"{"), 0),
        (damage(b"[]"), 0),
        (damage(b"{}"), 0),
        (damage(b"\xff"), 0),
    ],
)
def test_a_configuration_that_is_not_as_it_was_goes_the_long_way(
    scene: Scene, change: Callable[[Folder], object], code: int
) -> None:
    def before(folder: Folder) -> None:
        known_config("defaults: {timeout: 4h}\n")(folder)
        change(folder)

    done, quickly = scene.both(PLAIN, before)
    assert not quickly
    assert (done.code, len(done.runs)) == (code, 1)


def test_a_new_configuration_goes_the_long_way_once(scene: Scene) -> None:
    scene.folder.create()
    scene.folder.config.write_text("defaults: {timeout: 4h}\n")
    assert quick_add.run(["add", *PLAIN]) is None
    assert command_line.run(["add", *PLAIN]) == 0
    assert quick_add.run(["add", *PLAIN]) == 0


@pytest.mark.parametrize(
    ("outer", "arguments", "quickly", "code"),
    [
        (["--dir", "queue"], [], True, 0),
        (["--dir=queue"], ["-n", "a"], True, 0),
        (["--dir", "elsewhere"], ["--dir", "queue"], True, 0),
        (["--dir", "elsewhere"], [], False, 1),
        (["--dir", ""], [], False, 0),
        (["--dir", "queue", "--dir", "queue"], [], False, 0),
        (["-h"], [], False, 0),
        (["--"], [], False, 0),
    ],
)
def test_the_folder_may_be_named_before_add(
    scene: Scene, outer: list[str], arguments: list[str], quickly: bool, code: int
) -> None:
    done, went_quickly = scene.both([*arguments, *PLAIN], outer=outer)
    assert (went_quickly, done.code) == (quickly, code)


def test_it_knows_the_folder_from_a_directory_below(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    below = scene.folder.parent / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    done, quickly = scene.both(PLAIN)
    assert quickly and done.code == 0


def test_a_directory_that_may_be_in_a_checkout_goes_the_long_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = scene.folder.parent / "checkout-1"
    below.mkdir()
    monkeypatch.chdir(below)
    done, quickly = scene.both(PLAIN)
    assert not quickly and done.code == 0


def test_a_directory_that_is_gone_is_told_of(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = scene.folder.parent / "gone"

    def leave(folder: Folder) -> None:
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()

    done, quickly = scene.both(PLAIN, leave)
    monkeypatch.chdir("/")
    assert not quickly and done.code == 1


@pytest.mark.parametrize(
    ("config", "ages", "leaving", "is_alive", "expected"),
    [
        ("", [0.0], None, True, ""),
        ("heartbeat: {stale_after: 90s}\n", [60.0], None, True, ""),
        ("", [0.0], None, False, "no server is running: queued runs start once you run `aqueue serve`\n"),
        ("", [60.0], None, True, "server 1000 is not responding: queued runs start once a server responds\n"),
        ("", [60.0, 0.0], None, True, ""),
        (
            "",
            [0.0],
            Leaving.WHEN_DONE,
            True,
            "server 1000 is stopping: queued runs start once you run `aqueue serve`\n",
        ),
    ],
)
def test_it_says_who_will_start_it(
    scene: Scene, config: str, ages: list[float], leaving: Leaving | None, is_alive: bool, expected: str
) -> None:
    locks: list[ServerLock] = []

    def serve(folder: Folder) -> None:
        known_config(config)(folder)
        now = time.time()
        with closing(connect(folder)) as connection, transaction(connection, folder):
            for number, age in enumerate(ages):
                lock = ServerLock.announce(folder.servers)
                locks.append(lock)
                server = Server(
                    id=lock.id,
                    pid=1000 + number,
                    boot="",
                    jobs=1,
                    started_at=now - 100 + number,
                    heartbeat_at=now - age,
                    leaving=leaving,
                )
                Store(connection).servers.enter(server)
                if not is_alive:
                    lock.release()

    done, quickly = scene.both(PLAIN, serve)
    if is_alive:
        for lock in locks:
            lock.release()
    assert quickly
    assert (done.code, done.err) == (0, expected)
