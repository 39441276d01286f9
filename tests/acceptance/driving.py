"""Drive aqueue as a person does: commands at a shell, files dropped into a folder, signals, and looking around."""

import atexit
import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from aqueue.processes import is_alive
from tests.acceptance.forking import Forked, can_fork, fork
from tests.waiting import eventually

AQUEUE = (sys.executable, "-m", "aqueue")
OVER = ("succeeded", "failed", "aborted")

Row = dict[str, Any]


class Server:
    """A living `aqueue serve`, in a session of its own, with its output in a file."""

    def __init__(self, process: "subprocess.Popen[Any] | Forked", output: Path) -> None:
        self.process = process
        self.output = output

    @property
    def text(self) -> str:
        """Return the output so far."""
        return self.output.read_text()

    def says(self, text: str, times: int = 1, seconds: float = 10.0) -> None:
        """Wait until it has printed this."""
        eventually(lambda: self.text.count(text) >= times, seconds)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self, seconds: float = 20.0) -> int:
        """Wait for its end, and return its exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """As `kill -9`: it gets no chance to do anything."""
        self.process.kill()
        self.process.wait()


class Place:
    """A directory with a folder `queue` in it, the servers of that folder, and the commands about it.

    Args:
        base: where commands are given; the folder's parent.
        prefix: what to run every command under.
        beside: the pid of a process in whose namespaces the prefix runs commands, if that is all it does.
    """

    def __init__(self, base: Path, prefix: Sequence[str] = (), *, beside: int | None = None) -> None:
        self.base = base
        self.beside = beside
        self.folder = base / "queue"
        self.state = self.folder / ".aqueue"
        self.prefix = tuple(prefix)
        self.processes: list[subprocess.Popen[Any] | Forked] = []
        self.environment = {key: text for key, text in os.environ.items() if not key.startswith("AQUEUE_")}
        self._servers: list[Server] = []
        self._drops = 0

    # Commands

    def init(self) -> None:
        """Have a folder, as `aqueue init` makes it; here it is a copy, because that is needed so often."""
        shutil.copytree(_made_folder(), self.folder)

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, **streams: Any
    ) -> "subprocess.Popen[Any]":
        """Start a command, and return at once."""
        process = subprocess.Popen(
            [*self.prefix, *AQUEUE, *arguments],
            cwd=cwd or self.base,
            env=self.environment | dict(env or {}),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **streams,
        )
        self.processes.append(process)
        return process

    def ask(
        self, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, seconds: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, however it ends; it must never show a traceback."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = self._begin(arguments, env, cwd or self.base, out, err)
            code = process.wait(seconds)
            for file in (out, err):
                file.seek(0)
            printed, complaint = out.read(), err.read()
        assert "Traceback" not in complaint, complaint
        return subprocess.CompletedProcess(process.args, code, printed, complaint)

    def _begin(
        self, arguments: Sequence[str], env: Mapping[str, str] | None, cwd: Path, out: IO[Any], err: IO[Any]
    ) -> "subprocess.Popen[Any] | Forked":
        """The same as `start`, but mostly faster."""
        environment = self.environment | dict(env or {})
        if (self.prefix and self.beside is None) or not can_fork(environment):
            return self.start(*arguments, env=env, cwd=cwd, stdout=out, stderr=err)
        process = fork(arguments, cwd, environment, out.fileno(), err.fileno(), beside=self.beside)
        self.processes.append(process)
        return process

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
        """Run a command that must succeed, and return what it printed."""
        done = self.ask(*arguments, env=env, cwd=cwd)
        assert done.returncode == 0, done
        return done.stdout

    def refuse(self, *arguments: str, code: int, env: Mapping[str, str] | None = None) -> str:
        """Run a command that must fail with this exit code and print nothing; return its complaint."""
        done = self.ask(*arguments, env=env)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert done.stderr.startswith("error: "), done.stderr
        return done.stderr

    def add(self, command: str, *options: str) -> str:
        """Queue a shell command; returns the id of its run."""
        return self.run("add", *options, "--", command).strip()

    # Files

    def drop(self, name: str, content: str) -> None:
        """Put a whole file into the folder at once: written elsewhere, then renamed."""
        self._drops += 1
        target = self.folder / name
        if not self.folder.exists():
            self.init()
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = self.base / f".draft-{self._drops}"
        draft.write_text(content)
        draft.rename(target)

    def task(self, name: str, command: str, *more: str) -> None:
        """Drop a file with one task: its command, and more lines."""
        self.drop(f"{name}.yaml", "\n".join([f"command: {json.dumps(command)}", *more, ""]))

    def path(self, name: str) -> Path:
        """A file beside the folder, where tasks run."""
        return self.base / name

    def until(self, name: str) -> str:
        """A piece of shell that waits until there is a file of this name beside the folder."""
        return f"until [ -e {shlex.quote(str(self.path(name)))} ]; do sleep 0.02; done"

    def lines(self, name: str) -> list[str]:
        """The lines of a file beside the folder; none if it is not there."""
        path = self.path(name)
        return path.read_text().splitlines() if path.exists() else []

    # Servers

    def serve(self, *options: str, env: Mapping[str, str] | None = None, wait: bool = True) -> Server:
        """Start a server; returns when it serves."""
        output = self.base / f".server-{len(self._servers)}.txt"
        with output.open("wb") as file:
            process = self._begin(["serve", *options], env, self.base, file, file)
        server = Server(process, output)
        self._servers.append(server)
        if wait:
            eventually(lambda: "serving " in server.text or process.poll() is not None)
            assert process.poll() is None, server.text
        return server

    def drain(self, *options: str, seconds: float = 30.0) -> str:
        """Serve until nothing can go on by itself; returns what the server printed."""
        server = self.serve("--drain", *options, wait=False)
        code = server.ends(seconds)
        # Of a run that is held it says so, too, and that is no failure.
        shortfall = r"^\S+ (failed |rejected |warning run \d+ \S+ is left(?!: held;))"
        assert code == (re.search(shortfall, server.text, re.MULTILINE) is not None), server.text
        return server.text

    # What there is to see

    def ls(self, *options: str) -> list[Row]:
        """All runs, oldest first."""
        found: list[Row] = json.loads(self.run("ls", "--json", *options))
        return found

    def rows(self) -> dict[str, Row]:
        """All runs by their names, each of which only one may have."""
        found = self.ls()
        rows = {row["name"]: row for row in found}
        assert len(rows) == len(found)
        return rows

    def show(self, run: str) -> Row:
        row: Row = json.loads(self.run("show", run, "--json"))
        return row

    def becomes(self, name: str, *states: str, seconds: float = 15.0) -> Row:
        """Wait until the only run of that name is in one of the states; returns it."""

        def there() -> Row | None:
            # Most of a test's time would be spent in asking through the command line.
            if not self._is_in(name, states):
                return None
            row = self.rows().get(name)
            return row if row and row["state"] in states else None

        row = eventually(there, seconds)
        assert row is not None
        return row

    def _is_in(self, name: str, states: tuple[str, ...]) -> bool:
        database = f"file:{self.state / 'state.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True)) as connection:
            found = connection.execute("SELECT state FROM runs WHERE name = ?", (name,)).fetchall()
        return any(state in states for (state,) in found)

    def output(self, row: Row) -> str:
        """Return the output of a run's last attempt."""
        return Path(row["log"]).read_text()

    def appears(self, name: str, seconds: float = 10.0) -> Path:
        """Wait for a file beside the folder."""
        eventually(lambda: self.path(name).exists(), seconds)
        return self.path(name)

    # The end

    def close(self) -> None:
        """End every process that was started here; fail if a run's process is left after that."""
        left = [process for process in self.processes if process.poll() is None]
        try:
            for process in left:
                # A server ends its runs only when it is told twice.
                for patience in (0.3, 15.0):
                    process.send_signal(signal.SIGINT)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(patience)
            assert not self.processes_of_runs(), "a run has outlived its test"
        finally:
            for process in left:
                process.kill()
                process.wait()
            for pid in self.processes_of_runs():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def processes_of_runs(self) -> list[int]:
        """The living processes that a run in this folder has started."""
        return [pid for pid, _ in self._processes_of_runs()]

    def kill_processes_of(self, run: int) -> None:
        """Kill all that a run has started, at once, as the kernel does when memory is short."""
        found = [pid for pid, of in self._processes_of_runs() if of == str(run)]
        assert found
        # Stopped first: none of them is to see another die, and begin to clear up.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        eventually(lambda: not [pid for pid, of in self._processes_of_runs() if of == str(run)])

    def _processes_of_runs(self) -> Iterator[tuple[int, str]]:
        # A wrapper, and its forks, may have been told of their run only after they began.
        fences = (self.state / "runs").glob("*/attempt-*.pid")
        wrappers = [(fence.read_text().partition("\n")[0], fence.parent.name) for fence in fences]
        # A session that began in another namespace, as that of whoever runs the tests may have, is 0.
        sessions = {pid: run for pid, run in wrappers if leads_session(pid)}
        mark = os.fsencode(f"AQUEUE_RUN_DIR={self.state}/runs/")
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            # Gone meanwhile, or another user's: none of ours. A zombie's environment is empty.
            with contextlib.suppress(OSError):
                session = str(os.getsid(int(entry.name)))
                if session in sessions and is_alive(int(entry.name)):
                    yield int(entry.name), sessions[session]
                for variable in (entry / "environ").read_bytes().split(b"\0"):
                    if variable.startswith(mark):
                        yield int(entry.name), os.fsdecode(variable.removeprefix(mark))


def leads_session(pid: str) -> bool:
    """Return True if a process leads a session of its own."""
    try:
        return 0 < int(pid) == os.getsid(int(pid))
    except (OSError, ValueError):
        return False


def watches(pid: int) -> bool:
    """Return True if a process waits for changes of files."""
    descriptors = Path(f"/proc/{pid}/fd")
    try:
        return any(os.readlink(path) == "anon_inode:inotify" for path in descriptors.iterdir())
    except FileNotFoundError:
        # It has closed one just now.
        return False


def sleeps(pid: int) -> bool:
    """Return True if a process waits for something, so that whatever it had to print is printed."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("S")


@functools.cache
def _made_folder() -> Path:
    """A folder that `aqueue init` has made, for as long as the tests go on."""
    base = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, base)
    subprocess.run([*AQUEUE, "init", "made"], cwd=base, capture_output=True, check=True)
    return Path(base, "made")
