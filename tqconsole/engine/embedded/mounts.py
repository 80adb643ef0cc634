"""Which kind of file system a path lies on: SQLite's locks do not hold on network ones."""

from __future__ import annotations

import os
from pathlib import Path

#: Types as /proc/self/mountinfo names them; `fuse.*` entries are remote or shared with a host.
#: 9p, virtiofs, fakeowner and fuse.grpcfuse are how virtual machines and Docker Desktop show a
#: folder of their host, where two kernels would hold separate locks.
_NAMES = (
    "nfs nfs4 cifs smb smb2 smb3 smbfs ncpfs afs 9p virtiofs fakeowner vboxsf vmhgfs prl_fs ceph"
    " glusterfs lustre beegfs orangefs pvfs2 gpfs ocfs2 gfs2 acfs davfs fuse.sshfs fuse.s3fs"
    " fuse.rclone fuse.glusterfs fuse.ceph fuse.cephfs fuse.grpcfuse fuse.osxfs fuse.davfs"
    " fuse.davfs2 fuse.gcsfuse fuse.vmhgfs-fuse fuse.juicefs fuse.smbnetfs osxfs"
)
NETWORK_TYPES = frozenset(_NAMES.split())

_MOUNTINFO = Path("/proc/self/mountinfo")


def network_type_of(path: str, mountinfo: str | None = None) -> str:
    """Return the network file system's type that holds `path`, "" when it is local or unknown.

    `mountinfo` is the text of /proc/self/mountinfo; None reads it (absent: nothing is known).
    """
    if mountinfo is None:
        try:
            mountinfo = _MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    found_point, found_type = "", ""
    for line in mountinfo.splitlines():
        point, file_system = _mount_of(line)
        # A later mount on the same point hides the earlier one.
        if point and _is_under(path, point) and len(point) >= len(found_point):
            found_point, found_type = point, file_system
    return found_type if found_type in NETWORK_TYPES else ""


def _mount_of(line: str) -> tuple[str, str]:
    before, separator, after = line.partition(" - ")
    fields = before.split(" ")
    if not separator or len(fields) < 5:
        return "", ""
    return _unescaped(fields[4]), after.split(" ", 1)[0]


def _unescaped(point: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, character)
    return point


def _is_under(path: str, point: str) -> bool:
    return point == "/" or path == point or path.startswith(point.rstrip("/") + os.sep)
