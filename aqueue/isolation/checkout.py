"""An attempt's checkout: makes it before the command starts, clears it away when that is over.

A script that the attempt itself runs, so that it does not matter whether a server lives:

    python -I -S checkout.py make ATTEMPT
    python -I -S checkout.py finish ATTEMPT EXIT_CODE

What is to be done is in the file `ATTEMPT.plan`. The script imports nothing of aqueue, and as little else as it
can, as it runs up to twice for each attempt.

A checkout is a repository of its own that borrows the objects of the user's, so that nothing done in it is seen by
the user's, nor by other runs. Its files are written by git as the user's repository is configured, so that line
endings and filters, Git LFS for one, are what they are there. It writes nothing to the user's repository.
"""

import contextlib
import errno
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable, Iterator

FAILED = 1
"""The exit code when something could not be done."""

NO_ROOM = 120
"""The exit code of `make` when there was no room on the disk for it; it becomes the attempt's own."""

NO_PROCESS = 118
"""The same, when it or git could not have a process, a file or memory."""

GIT = (
    *("git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"),
    *("-c", "core.splitIndex=false"),
)
"""The call of git on a user's repository: no hooks, no daemon, no clearing up, no split index."""

OF_A_REPOSITORY = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_DIR", "GIT_GRAFT_FILE"),
    *("GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"),
    *("GIT_WORK_TREE", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS"),
    *("GIT_ICASE_PATHSPECS",),
)
"""Variables that would have git be about another repository than that of the working directory."""

_NO_COMMIT = (b"not a tree object", b"Not a valid object name", b"failed to unpack tree object")
_OF_GIT = ("error: ", "fatal: ", "warning: ", "hint: ")
_ABOUT_A_FILTER = ("external filter ", "the remote end hung up", "packet write")
_MAX_METRICS = (1 << 20) + 1
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_NO_ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT)
"""The system's errors when the disk, or a user's share of it, is full."""
_NO_PROCESS_ERRORS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Its errors when there are no more processes, files or memory to be had for now."""


class CheckoutError(Exception):
    """Something cannot be done; its text is for people, in one line."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Stopped(BaseException):
    """A signal asks for the end of this process."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} while the checkout was made")
        self.exit_code = 128 + number


class Plan:
    """The work to do around an attempt; all directories are absolute paths.

    Attributes:
        source: the working directory that the user knows.
        checkout: where the checkout is, or is to be; None where the command runs in `source` itself.
        repository: the directory in which git has the code.
        commit: the code.
        prefix: the working directory within the checkout.
        copy, link: what is brought from `source`.
        outputs: paths and patterns, from the working directory.
        keep: `always`, `failed` or `never`.
        run_dir: where the outputs go.
    """

    def __init__(self, attempt: str) -> None:
        try:
            with open(attempt + ".plan", "rb") as file:
                written = json.load(file)
            self.source: str = written["source"]
            self.checkout: str | None = written["checkout"]
            self.repository: str = written["repository"]
            self.commit: str = written["commit"]
            self.prefix: str = written["prefix"]
            self.copy: list[str] = written["copy"]
            self.link: list[str] = written["link"]
            self.outputs: list[str] = written["outputs"]
            self.keep: str = written["keep"]
            self.run_dir: str = written["run_dir"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckoutError(f"{attempt}.plan cannot be read: {error}") from error

    @property
    def working_dir(self) -> str:
        """Return where the command runs."""
        return self.source if self.checkout is None else os.path.join(self.checkout, self.prefix)


def make(plan: Plan) -> None:
    """Make the checkout of a plan, if it has one; or nothing at all.

    Raises:
        CheckoutError, OSError: it could not be made.
        Stopped: it was not to be finished.
    """
    checkout = plan.checkout
    if checkout is None:
        return
    if os.path.lexists(checkout):
        raise CheckoutError(f"{checkout} is there already")
    if not os.path.isdir(plan.repository):
        raise CheckoutError(f"the git repository {plan.repository} is not there any more")
    for path in plan.copy + plan.link:
        if not os.path.exists(os.path.join(plan.source, path)):
            raise CheckoutError(f"there is no {path} in {plan.source} to bring into the checkout")
    try:
        os.mkdir(checkout, 0o700)
        _make_repository(plan, checkout)
        _write_files(plan, checkout)
        os.makedirs(plan.working_dir, exist_ok=True)
        for path in plan.copy:
            _bring_copy(plan, checkout, path)
        for path in plan.link:
            _bring_link(plan, checkout, path)
    except BaseException:
        _ignore_signals()
        discard(checkout)
        raise


def finish(plan: Plan, exit_code: int) -> bool:
    """Copy the outputs to the run's folder, and remove the checkout if it is not to be kept.

    Returns:
        False if something could not be done; all that could be is done then, too.
    """
    is_done = True
    for output in plan.outputs:
        paths = list(_find(plan.working_dir, output))
        if not paths:
            say(f"aqueue: there is no {output} to copy")
        for path in paths:
            try:
                _take_out(plan, path)
            except (OSError, CheckoutError) as error:
                say(f"aqueue: {path} could not be copied: {_explain(error)}")
                is_done = False
    if plan.checkout is None or not os.path.lexists(plan.checkout):
        return is_done
    if not is_done:
        say(f"aqueue: the checkout is kept: {plan.checkout}")
    elif plan.keep == "never" or (plan.keep == "failed" and exit_code == 0):
        try:
            discard(plan.checkout)
        except OSError as error:
            say(f"aqueue: the checkout {plan.checkout} could not be removed: {_explain(error)}")
            return False
    return is_done


def save_metrics(plan: Plan, attempt: str) -> None:
    """Save the metrics.json that the command has written in its checkout, where the wrapper could not do so."""
    if plan.checkout is None or os.path.lexists(attempt + ".metrics.json"):
        return
    written = os.path.join(plan.working_dir, "metrics.json")
    with contextlib.suppress(OSError):
        if os.stat(written).st_mtime_ns > os.stat(attempt + ".plan").st_mtime_ns:
            with open(written, "rb") as source, open(attempt + ".metrics.json", "xb") as target:
                target.write(source.read(_MAX_METRICS))


def git_environment() -> dict[str, str]:
    """Return the environment for git, less what says which repository to use; its messages are in English."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_A_REPOSITORY}
    # Not LC_ALL: a filter of the user's is to see the locale that it sees otherwise.
    return environment | {"LANGUAGE": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def git_complaint(errors: bytes) -> str:
    """Return the line that says most of what git wrote to its standard error."""
    lines = errors.decode(errors="replace").strip().split("\n")
    # The first is the cause; what follows are consequences, or advice.
    for line in lines:
        kind, _, complaint = line.partition(": ")
        if kind in ("error", "fatal"):
            is_about_a_filter = complaint.startswith(_ABOUT_A_FILTER)
            return (is_about_a_filter and _complaint_of_a_filter(lines)) or complaint
    return lines[-1]


def _complaint_of_a_filter(lines: list[str]) -> str:
    """Return the line that says why a filter, such as that of Git LFS, failed; git itself does not."""
    said = [line for line in lines if line.strip() and not line.startswith(_OF_GIT)]
    for line in said:
        if line.endswith("not found") and line.count(": ") > 1:
            return f"{line.split(': ')[-2]}, a filter of the repository, is not installed, or not where PATH says"
    return next((line for line in said if line.lower().startswith("error")), said[0] if said else "")


def tells_of_no_room(errors: bytes) -> bool:
    """Return True if git failed because the disk is full, by what it wrote to its standard error."""
    # Of these it does not say why, and there is hardly another reason.
    words = (b"unable to write file '", b"unable to write new index file")
    return _tells_of(_NO_ROOM_ERRORS, errors) or any(word in errors for word in words)


def tells_of_no_process(errors: bytes) -> bool:
    """Return True if git failed for want of a process, a file or memory, by its standard error."""
    return _tells_of(_NO_PROCESS_ERRORS, errors)


def _tells_of(numbers: tuple[int, ...], errors: bytes) -> bool:
    return any(os.strerror(number).encode() in errors for number in numbers)


def copy(source: str, target: str, is_followed: Callable[[str], bool] = lambda _: False) -> None:
    """Copy what is at `source` over what is at `target`.

    Directories are merged, everything else is replaced. Modes and times are kept. Pipes and sockets are left out.

    Args:
        is_followed: whether a symbolic link to a file becomes a copy of the file; it stays a link otherwise.

    Raises:
        OSError: it cannot be copied.
    """
    mode = os.lstat(source).st_mode
    if stat.S_ISDIR(mode):
        if os.path.islink(target) or not os.path.isdir(target):
            discard(target)
            os.mkdir(target)
        for name in os.listdir(source):
            copy(os.path.join(source, name), os.path.join(target, name), is_followed)
        shutil.copystat(source, target)
    elif stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and os.path.isfile(source) and is_followed(source)):
        # What is there may be a link, which would be written through, or not be writable.
        discard(target)
        try:
            shutil.copy2(source, target)
        except OSError:
            # Half of a file would pass for all of it.
            discard(target)
            raise
    elif stat.S_ISLNK(mode):
        discard(target)
        os.symlink(os.readlink(source), target)


def discard(path: str) -> None:
    """Remove whatever is there, if anything is; of a symbolic link only the link.

    Raises:
        OSError: it cannot be removed.
    """
    if os.path.islink(path) or not os.path.isdir(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    for _ in range(2):
        # Something may still write into it; but not for long, as what is gone cannot be entered.
        with contextlib.suppress(OSError):
            shutil.rmtree(path)
            return
        _make_writable(path)
    shutil.rmtree(path)


def say(line: str) -> None:
    """Write a line to standard output, if it can be written."""
    with contextlib.suppress(OSError):
        os.write(1, line.replace("\n", "?").encode(errors="replace") + b"\n")


def _make_repository(plan: Plan, checkout: str) -> None:
    """Make a repository in a directory, with the plan's commit for its HEAD; see gitrepository-layout(5)."""
    git_dir = os.path.join(checkout, ".git")
    os.makedirs(os.path.join(git_dir, "objects", "info"))
    os.mkdir(os.path.join(git_dir, "refs"))
    os.mkdir(os.path.join(git_dir, "info"))
    for name in ("shallow", "info/attributes", "info/exclude"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(os.path.join(plan.repository, name), os.path.join(git_dir, name))
    # For `git describe`.
    tags = _git(plan, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")
    brought = "".join(f"\n{_ignored(os.path.join(plan.prefix, path))}" for path in plan.copy + plan.link)
    # Remotes, filters and so on are the user's. What concerns the repository itself, such as core.worktree and its
    # extensions, git reads only from the file that includes the other.
    is_sha256 = len(plan.commit) == 64
    config = (
        f"[core]\n\trepositoryformatversion = {int(is_sha256)}\n\tbare = false\n\tlogallrefupdates = true\n"
        + ("[extensions]\n\tobjectformat = sha256\n" if is_sha256 else "")
        + f"[include]\n\tpath = {_quoted(os.path.join(plan.repository, 'config'))}\n"
        + "[core]\n\tfsmonitor = false\n"
    )
    for name, content in (
        ("config", os.fsencode(config)),
        ("objects/info/alternates", os.fsencode(_quoted(os.path.join(plan.repository, "objects")) + "\n")),
        ("packed-refs", tags),
        ("info/exclude", os.fsencode(brought + "\n")),
        ("HEAD", os.fsencode(plan.commit + "\n")),
    ):
        with open(os.path.join(git_dir, name), "ab") as file:
            file.write(content)


def _write_files(plan: Plan, checkout: str) -> None:
    """Have git write the files of the commit."""
    workers = min(8, os.cpu_count() or 1)
    options = ("-c", f"checkout.workers={workers}", "-c", "checkout.thresholdForParallelism=100")
    # It would have a submodule of the user's take this for its working tree.
    arguments = ("read-tree", "--no-recurse-submodules", "--reset", "-u", plan.commit)
    index = os.path.join(checkout, ".git", "index")
    _git(plan, *options, *arguments, GIT_WORK_TREE=checkout, GIT_INDEX_FILE=index)


def _bring_copy(plan: Plan, checkout: str, path: str) -> None:
    """Copy something of the user's into the checkout; of a symbolic link, what it leads to."""
    source = os.path.realpath(os.path.join(plan.source, path))
    _refuse_to_copy_into_itself(source, checkout)
    copy(source, _destination(checkout, os.path.join(plan.prefix, path)))


def _bring_link(plan: Plan, checkout: str, path: str) -> None:
    """Link something of the user's into the checkout, in place of what is there."""
    target = _destination(checkout, os.path.join(plan.prefix, path))
    discard(target)
    os.symlink(os.path.join(plan.source, os.path.normpath(path)), target)


def _take_out(plan: Plan, path: str) -> None:
    """Copy an output, a path from the working directory, to the run's folder."""
    first = path.partition("/")[0]
    if first == "task.yaml" or first.startswith(("attempt-", "checkout-")):
        raise CheckoutError(f"{first} is a name that the run's folder has for something of its own")
    top = os.path.realpath(os.path.join(plan.working_dir, path))
    _refuse_to_copy_into_itself(top, plan.run_dir)
    checkout = os.path.realpath(plan.checkout) if plan.checkout else None

    def is_followed(link: str) -> bool:
        """Return True if what the link leads to is gone, or elsewhere, as seen from where it is copied to."""
        text = os.readlink(link)
        if os.path.isabs(text):
            return checkout is not None and _is_within(os.path.realpath(link), checkout)
        return not _is_within(os.path.normpath(os.path.join(os.path.dirname(link), text)), top)

    copy(top, _destination(plan.run_dir, path), is_followed)


def _find(base: str, pattern: str) -> Iterator[str]:
    """Return the paths from `base` that a pattern stands for; one that is also a path is that path."""
    path = os.path.normpath(pattern)
    if os.path.exists(os.path.join(base, path)):
        return iter([path])
    return iter(dict.fromkeys(_match(base, "", path.split("/"))))


def _match(base: str, path: str, parts: list[str]) -> Iterator[str]:
    """Yield what fits a pattern below `path`, which is in `base`; only links that it names are followed."""
    from fnmatch import fnmatchcase

    part, *rest = parts
    if part == "**" and rest:
        yield from _match(base, path, rest)
    try:
        entries = sorted(os.scandir(os.path.join(base, path)), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        name = os.path.join(path, entry.name)
        is_hidden = entry.name.startswith(".") and not part.startswith(".")
        if entry.name != part and (is_hidden or not fnmatchcase(entry.name, part)):
            continue
        is_directory = os.path.isdir(entry.path) and (entry.name == part or not entry.is_symlink())
        if rest and is_directory:
            yield from _match(base, name, parts if part == "**" else rest)
        elif not rest and (is_directory or os.path.isfile(entry.path)):
            yield name


def _destination(root: str, path: str) -> str:
    """Return where something goes in `root`; the directories on the way are made.

    Raises:
        CheckoutError: that would be outside of it.
    """
    path = os.path.normpath(path)
    target = os.path.join(root, path)
    parent = os.path.dirname(target)
    if path == "." or os.path.isabs(path) or path.split("/")[0] == "..":
        raise CheckoutError(f"{path} is no path within the working directory")
    if not _is_within(os.path.realpath(parent), os.path.realpath(root)):
        raise CheckoutError(f"on the way to {path} there is a symbolic link that leads out of {root}")
    os.makedirs(parent, exist_ok=True)
    return target


def _refuse_to_copy_into_itself(source: str, root: str) -> None:
    if _is_within(os.path.realpath(root), source):
        raise CheckoutError(f"{source} cannot be copied into itself")


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def _make_writable(directory: str) -> None:
    """Let everything in a directory be removed by its owner."""
    with contextlib.suppress(OSError):
        os.chmod(directory, 0o700)
        for path, names, _ in os.walk(directory):
            for name in names:
                inner = os.path.join(path, name)
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)


def _quoted(text: str) -> str:
    """Return a text as git reads it between quotes."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _ignored(path: str) -> str:
    """Return a path from the top as a line of `info/exclude`, where `?` may be any letter."""
    special = {"\n": "?"} | {letter: f"\\{letter}" for letter in "\\*?[ "}
    return "/" + "".join(special.get(letter, letter) for letter in os.path.normpath(path))


def _git(plan: Plan, *arguments: str, **variables: str) -> bytes:
    """Run git on the repository of a plan.

    Returns:
        what it writes to its standard output.

    Raises:
        CheckoutError: it fails.
        Stopped: meanwhile; nothing of it is left running then.
    """
    import subprocess

    environment = git_environment() | {"GIT_DIR": plan.repository} | variables
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell
            [*GIT, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise CheckoutError("git is not installed, or not where PATH says") from error
    try:
        output, errors = process.communicate()
    except BaseException:
        process.terminate()
        # Its helpers write files, too: all are gone once nobody has its output open.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=1.0)
        raise
    if not process.returncode:
        return output
    if tells_of_no_process(errors):
        raise CheckoutError(git_complaint(errors), NO_PROCESS)
    if tells_of_no_room(errors):
        raise CheckoutError("there is no room on the disk for a checkout of the code", NO_ROOM)
    if any(words in errors for words in _NO_COMMIT):
        raise CheckoutError(f"the code to run, commit {plan.commit[:12]}, is not in {plan.repository} any more")
    raise CheckoutError(f"git cannot check out the code: {git_complaint(errors)}")


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _code(error: OSError) -> int:
    if error.errno in _NO_PROCESS_ERRORS:
        return NO_PROCESS
    return NO_ROOM if error.errno in _NO_ROOM_ERRORS else FAILED


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _: object) -> None:
    # All that is left to do is to clear up.
    _ignore_signals()
    raise Stopped(number)


def main(arguments: list[str]) -> int:
    """Do what the arguments say.

    Returns:
        the exit code.
    """
    match arguments:
        case ["make", attempt]:
            for number in _SIGNALS:
                signal.signal(number, _stop)
            try:
                make(Plan(attempt))
                # The time of the plan is when the command starts: what is older, it has not written.
                os.utime(attempt + ".plan")
            except (CheckoutError, Stopped) as error:
                say(str(error))
                return error.exit_code
            except OSError as error:
                say(f"the checkout cannot be made: {_explain(error)}")
                return _code(error)
            return 0
        case ["finish", attempt, exit_code]:
            # They are meant for the command; what it made until then is copied all the same.
            _ignore_signals()
            try:
                plan = Plan(attempt)
                save_metrics(plan, attempt)
                return 0 if finish(plan, int(exit_code)) else FAILED
            except CheckoutError as error:
                say(f"aqueue: {error}")
                return FAILED
        case _:
            say("usage: checkout.py make ATTEMPT | finish ATTEMPT EXIT_CODE")
            return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
