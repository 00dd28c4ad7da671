"""One process at a time on a database file: an advisory lock on `<file>.lock`, held as long as the store is open.

Law: two receivers on one SQLite file would each run the other's work; the second one refuses to start. Network file systems are refused:
their locks lie, and so may WAL (https://www.sqlite.org/wal.html, "does not work over a network filesystem"). Called by `opening.py`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.s3fs", "glusterfs", "fuse.glusterfs"})


class CannotOpen(Exception):
    """The store cannot be opened as configured: says thing, value and what to do."""


class FileLock:
    """Holds the lock until `release`, or until the process ends, however it ends."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: int | None = None

    @property
    def path(self) -> Path:
        """Beside the file itself, whatever links lead to it: there is one lock for one file."""
        place = self._database.resolve()
        return place.with_name(place.name + ".lock")

    def take(self) -> None:
        """CannotOpen names the file and the process that has it."""
        refuse_network(self._database)
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotOpen(f"store {self._database}: cannot write {self.path}: {error.strerror}; {what_to_do(error)}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as taken:
            holder = os.pread(file, 20, 0).decode("ascii", errors="replace").strip() or "unknown"
            os.close(file)
            raise CannotOpen(
                f"store {self._database} is in use by process {holder} (lock {self.path}): stop it first; several replicas need PostgreSQL"
            ) from taken
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two files of one name. Harmless when called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def what_to_do(error: OSError) -> str:
    """About a file of the store that cannot be made or written."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "create the directory or change `store`"
        case errno.EACCES | errno.EPERM:
            return f"the receiver runs as user {os.geteuid()}: give it the directory, or change `store`"
        case errno.EROFS:
            return "mount a volume that can be written there, or change `store`"
        case errno.ENOSPC | errno.EDQUOT:
            return "make room there, or change `store`"
        case _:
            return "check the directory, or change `store`"


def refuse_network(database: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """CannotOpen when the file lies on a network file system; says nothing where mounts cannot be read (not Linux)."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return
    points = {Path(part[1].replace("\\040", " ")): part[2] for part in (line.split() for line in lines) if len(part) > 2}
    place = database.resolve()
    kind = next((points[each] for each in (place, *place.parents) if each in points), "")
    if kind in NETWORK:
        raise CannotOpen(f"store {database} lies on {kind}, whose locks cannot be trusted: use a local disk, or PostgreSQL")
