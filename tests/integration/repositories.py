"""Real git repositories, and attempts that have a checkout of one."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from aqueue.isolation.plan import PROGRAM
from aqueue.isolation.snapshot import take
from aqueue.model.task import Isolation, Snapshot

NOTHING = Isolation()


class Repository:
    """A git repository and its working tree."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, *options: str) -> "Repository":
        """A new one with a single commit, in which `code.py` says 1."""
        path.mkdir()
        repository = cls(path)
        repository.git("init", "-q", "-b", "main", *options)
        repository.write("code.py", "1\n")
        repository.commit()
        return repository

    def git(self, *arguments: str | Path) -> str:
        """Run git here; returns what it prints, less the last newline."""
        command = ["git", "-c", "protocol.file.allow=always", *arguments]
        done = subprocess.run(command, cwd=self.path, capture_output=True, check=False)
        assert not done.returncode, f"{arguments}: {os.fsdecode(done.stderr)}"
        return os.fsdecode(done.stdout).removesuffix("\n")

    def write(self, name: str, text: str | bytes = "") -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def commit(self) -> str:
        """Commit all there is; returns its id."""
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "a change")
        return self.head

    def add_hooks(self) -> Path:
        """Add hooks that should not run; returns a path that is there once one has."""
        ran = self.path.parent / "a-hook-ran"
        for hook in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc", "fsmonitor"):
            self.write(f".git/hooks/{hook}", f"#!/bin/sh\ntouch '{ran}'\n").chmod(0o755)
        self.git("config", "core.fsmonitor", self.path / ".git" / "hooks" / "fsmonitor")
        return ran

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def take(self, isolation: Isolation = NOTHING, within: str = "") -> Snapshot:
        """Take a snapshot; `within` is the working directory."""
        scratch = self.path.parent / "scratch"
        scratch.mkdir(exist_ok=True)
        snapshot = take(str(self.path / within), isolation, scratch)
        assert not list(scratch.iterdir())
        return snapshot

    def files_of(self, commit: str) -> dict[str, str]:
        """Return the contents of a commit's files, by path."""
        names = self.git("ls-tree", "-r", "-z", "--name-only", commit).split("\0")[:-1]
        return {name: self.git("cat-file", "blob", f"{commit}:{name}") for name in names}

    def noticeable(self) -> dict[str, object]:
        """All that a user, or a tool of theirs, could notice a change of: all files but git's objects."""
        quiet = ("--no-optional-locks", "-c", "core.fsmonitor=false")
        asked = ("status --porcelain", "stash list", "worktree list", "for-each-ref", "branch -a", "reflog --all")
        seen: dict[str, object] = {command: self.git(*quiet, *command.split()) for command in asked}
        git_dir = Path(self.git("rev-parse", "--absolute-git-dir"))
        for path in sorted(self.path.rglob("*")) + sorted(git_dir.rglob("*")):
            # The directory of our refs stays, as that of any ref does.
            if git_dir / "objects" in path.parents or path == git_dir / "refs" / "aqueue":
                continue
            if path.is_symlink():
                seen[str(path)] = path.readlink()
            elif path.is_file():
                # Git gives a part of an index the time at which it was last read.
                time = 0 if path.name.startswith("sharedindex") else path.stat().st_mtime_ns
                seen[str(path)] = (path.read_bytes(), time, path.stat().st_mode)
            elif path.is_dir():
                seen[str(path)] = None
        return seen


class Attempt:
    """An attempt of a run in a checkout of its own; in place where there is no snapshot."""

    def __init__(
        self,
        run_dir: Path,
        source: Path,
        snapshot: Snapshot | None,
        *,
        copy: Iterable[str] = (),
        link: Iterable[str] = (),
        outputs: Iterable[str] = (),
        keep: str = "failed",
        number: int = 1,
    ) -> None:
        run_dir.mkdir(exist_ok=True)
        self.path = run_dir / f"attempt-{number}"
        self.checkout = run_dir / f"checkout-{number}"
        self.working_dir = self.checkout / snapshot.prefix if snapshot else source
        plan = {
            "source": str(source),
            "checkout": str(self.checkout) if snapshot else None,
            "repository": snapshot.repository if snapshot else None,
            "commit": snapshot.commit if snapshot else None,
            "prefix": snapshot.prefix if snapshot else None,
            "copy": list(copy),
            "link": list(link),
            "outputs": list(outputs),
            "keep": keep,
            "run_dir": str(run_dir),
        }
        Path(f"{self.path}.plan").write_text(json.dumps(plan))

    @property
    def making(self) -> list[str]:
        """Return the command that makes the checkout."""
        return [*PROGRAM, "make", str(self.path)]

    def finishing(self, exit_code: int) -> list[str]:
        """Return the command that removes the checkout after a command with this exit code."""
        return [*PROGRAM, "finish", str(self.path), str(exit_code)]

    def make(self) -> None:
        assert _run(self.making) == (0, [])

    def fail(self, code: int = 1) -> str:
        """Fail to make the checkout, and leave nothing of it; returns the line that says why."""
        was_there = self.checkout.exists()
        exit_code, lines = _run(self.making)
        assert exit_code == code, lines
        assert self.checkout.exists() == was_there
        (line,) = lines
        return line

    def finish(self, exit_code: int = 0, code: int = 0) -> list[str]:
        """Returns what is said."""
        finished, lines = _run(self.finishing(exit_code))
        assert finished == code, lines
        return lines

    def git(self, *arguments: str) -> str:
        """Run git in the checkout."""
        return Repository(self.checkout).git(*arguments)


def hide_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git see nothing of how this machine and this user have it configured."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.org")


def _run(command: list[str]) -> tuple[int, list[str]]:
    """The exit code of a command and the lines that it prints; it is not to complain in any other way."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.stderr == b""
    return done.returncode, done.stdout.decode().splitlines()
