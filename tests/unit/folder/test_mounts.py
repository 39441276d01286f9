"""The file system of a device number: on some, not all writers can be seen."""

import pytest

from aqueue.folder.mounts import kind_of, sees_every_writer

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 254:0 /home /mnt/with\\040space rw,relatime shared:1 master:2 - ext4 /dev/vda rw
30 27 0:46 / /data rw,nosuid,nodev shared:91 propagate_from:2 - fuse.sshfs me@host:/data rw,user_id=0
31 27 0:47 / /old rw - tmpfs tmpfs rw
32 31 0:47 / /old rw - nfs4 host:/export - of - dashes rw
33 27 0:4 / /a rw - cifs //host/share rw
34 27 0:48 / /fuse.nfs rw - overlay overlay rw,lowerdir=/fuse:/nfs

not a line of it
"""


@pytest.mark.parametrize(
    ("device", "kind"),
    [
        ((254, 0), "ext4"),
        ((0, 46), "fuse.sshfs"),
        ((0, 47), "nfs4"),
        ((0, 4), "cifs"),
        ((0, 48), "overlay"),
        ((0, 99), None),
    ],
)
def test_a_device_has_the_kind_that_was_mounted_last_with_its_number(
    device: tuple[int, int], kind: str | None
) -> None:
    assert kind_of(MOUNTINFO, device) == kind


OTHERS = ("fuse", "fuse.sshfs", "fuse.bindfs", "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf")


@pytest.mark.parametrize("kind", OTHERS)
def test_what_others_reach_without_this_kernel_is_not_trusted(kind: str) -> None:
    assert not sees_every_writer(kind)


OURS = ("ext4", "xfs", "btrfs", "tmpfs", "zfs", "overlay", "fuse.fuse-overlayfs", "fuseblk", None)


@pytest.mark.parametrize("kind", OURS)
def test_what_only_this_kernel_writes_to_is_trusted(kind: str | None) -> None:
    assert sees_every_writer(kind)
