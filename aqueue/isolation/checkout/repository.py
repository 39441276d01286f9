"""The repository of a checkout, and the files of its commit."""

import contextlib
import os
import shutil

from aqueue.isolation.checkout import git
from aqueue.isolation.checkout.plan import Plan


def make_repository(plan: Plan, checkout: str) -> None:
    """Make a repository in a directory, with the plan's commit for its HEAD; see gitrepository-layout(5)."""
    git_dir = os.path.join(checkout, ".git")
    os.makedirs(os.path.join(git_dir, "objects", "info"))
    os.mkdir(os.path.join(git_dir, "refs"))
    os.mkdir(os.path.join(git_dir, "info"))
    for name in ("shallow", "info/attributes", "info/exclude"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(os.path.join(plan.repository, name), os.path.join(git_dir, name))
    # For `git describe`.
    tags = git.run(plan, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags")
    excluded = "".join(f"\n{_excluded(os.path.join(plan.prefix, path))}" for path in plan.copy + plan.link)
    for name, content in (
        ("config", os.fsencode(_config(plan))),
        ("objects/info/alternates", os.fsencode(_quoted(os.path.join(plan.repository, "objects")) + "\n")),
        ("packed-refs", tags),
        ("info/exclude", os.fsencode(excluded + "\n")),
        ("HEAD", os.fsencode(plan.commit + "\n")),
    ):
        with open(os.path.join(git_dir, name), "ab") as file:
            file.write(content)


def write_files(plan: Plan, checkout: str) -> None:
    """Write the files of the commit."""
    workers = min(8, os.cpu_count() or 1)
    options = ("-c", f"checkout.workers={workers}", "-c", "checkout.thresholdForParallelism=100")
    # With submodules, it would take the checkout for the working tree of one of the user's.
    arguments = ("read-tree", "--no-recurse-submodules", "--reset", "-u", plan.commit)
    index = os.path.join(checkout, ".git", "index")
    git.run(plan, *options, *arguments, GIT_WORK_TREE=checkout, GIT_INDEX_FILE=index)


def _config(plan: Plan) -> str:
    """Return the configuration of the checkout's repository."""
    # Remotes, filters and so on are the user's. What concerns the repository itself, such as core.worktree and its
    # extensions, git reads only from the file that includes the other.
    is_sha256 = len(plan.commit) == 64
    return (
        f"[core]\n\trepositoryformatversion = {int(is_sha256)}\n\tbare = false\n\tlogallrefupdates = true\n"
        + ("[extensions]\n\tobjectformat = sha256\n" if is_sha256 else "")
        + f"[include]\n\tpath = {_quoted(os.path.join(plan.repository, 'config'))}\n"
        + "[core]\n\tfsmonitor = false\n"
    )


def _quoted(text: str) -> str:
    """Return a text in the quotes of git's configuration."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _excluded(path: str) -> str:
    """Return a path from the top as a line of `info/exclude`; the line's `?` matches any letter."""
    special = {"\n": "?"} | {letter: f"\\{letter}" for letter in "\\*?[ "}
    return "/" + "".join(special.get(letter, letter) for letter in os.path.normpath(path))
