"""Be another user for a while, and groups to give files to."""

import grp
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user, or give files to one")


@contextmanager
def another_user(user: int = NOBODY) -> Iterator[None]:
    """Have what this process does to files be done by another user, who is in no group but their own."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextmanager
def open_place(mode: int) -> Iterator[Path]:
    """A directory that other users can come to, unlike those that pytest makes; with this mode."""
    place = Path(tempfile.mkdtemp(prefix="aqueue-users-", dir="/tmp"))
    try:
        place.chmod(mode)
        yield place
    finally:
        shutil.rmtree(place)


def members(group: grp.struct_group) -> set[str]:
    return {*group.gr_mem, *(user.pw_name for user in pwd.getpwall() if user.pw_gid == group.gr_gid)}


def a_group(*, shared: bool) -> int:
    """A group that this user may give files to, and that has other members, or has none."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    usable = {group.gr_gid for group in grp.getgrall()} if os.geteuid() == 0 else {os.getegid(), *os.getgroups()}
    for group in grp.getgrall():
        if group.gr_gid in usable and bool(members(group) - {me}) == shared:
            return group.gr_gid
    pytest.skip(
        f"there is no group that {'has' if shared else 'lacks'} other members and that files can be given to"
    )
