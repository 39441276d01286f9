"""Kinds of mounted file systems, and which of them see everybody who writes to their files."""

from typing import Final

_REACHED_BY_OTHERS: Final = frozenset((
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "ecryptfs", "fuse", "gfs2", "gpfs", "lustre", "ncpfs",
    "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs",
    "vmhgfs", "wekafs",
))  # fmt: skip
# The root of a container that runs without root's rights: all that is in the container writes through it.
_OF_CONTAINERS: Final = "fuse.fuse-overlayfs"


def kind_of(mountinfo: str, device: tuple[int, int]) -> str | None:
    """Return the kind of the file system on a device.

    Args:
        mountinfo: the text of `/proc/self/mountinfo`.
        device: its major and minor number.

    Returns:
        the kind, such as `ext4` or `fuse.sshfs`; None if that device is not mounted by itself, as with the
        subvolumes of btrfs.
    """
    number = "{}:{}".format(*device)
    kind = None
    for line in mountinfo.splitlines():
        # id, parent, device, root, mount point, options, any number of optional fields, -, kind, source, options
        fields, _, rest = line.partition(" - ")
        if fields.split(" ")[2:3] == [number]:
            # Of several with the same number, the last is the one that was mounted last.
            kind = rest.partition(" ")[0] or None
    return kind


def sees_every_writer(kind: str | None) -> bool:
    """Return True if files of such a file system can be written only through it, on this machine."""
    if kind is None or kind == _OF_CONTAINERS:
        return True
    return kind.partition(".")[0] not in _REACHED_BY_OTHERS
