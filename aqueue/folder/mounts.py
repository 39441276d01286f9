"""Types of mounted file systems, and which of them see every writer of their files."""

from typing import Final

_REACHED_BY_OTHERS: Final = frozenset((
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "ecryptfs", "fuse", "gfs2", "gpfs", "lustre", "ncpfs",
    "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs",
    "vmhgfs", "wekafs",
))  # fmt: skip
# The root of a rootless container: every process in the container writes through it.
_OF_CONTAINERS: Final = "fuse.fuse-overlayfs"


def kind_of(mountinfo: str, device: tuple[int, int]) -> str | None:
    """Return the type of the file system on a device.

    Args:
        mountinfo: the text of `/proc/self/mountinfo`.
        device: its major and minor number.

    Returns:
        the type, such as `ext4` or `fuse.sshfs`; None if the device has no mount of its own, as for btrfs
        subvolumes.
    """
    number = "{}:{}".format(*device)
    kind = None
    for line in mountinfo.splitlines():
        # id, parent, device, root, mount point, options, any number of optional fields, -, type, source, options
        fields, _, rest = line.partition(" - ")
        if fields.split(" ")[2:3] == [number]:
            # The last entry is the latest mount.
            kind = rest.partition(" ")[0] or None
    return kind


def sees_every_writer(kind: str | None) -> bool:
    """Return True if files on this type of file system can be written only through it, on this machine."""
    if kind is None or kind == _OF_CONTAINERS:
        return True
    return kind.partition(".")[0] not in _REACHED_BY_OTHERS
