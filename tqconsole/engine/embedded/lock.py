"""The writers' lock: one advisory lock on a side file, freed by the kernel when a process dies.

SQLite's own waiting starves under many writers (half a second at the tail), and checkpoints under
this lock alone close the WAL-reset race of SQLite 3.7 to 3.51.2.
"""

from __future__ import annotations

import errno
import os
import random
import sys

from tqconsole.engine.clock import Clock
from tqconsole.engine.embedded.location import make_folder
from tqconsole.engine.exceptions import ImproperlyConfigured, OperationalError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


#: Errors that a later try may not meet: disk full, too many open files, an I/O error.
_PASSING = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EIO})
#: Seconds a writer waits for the others; every publish ends in bounded time.
PATIENCE_S = 5.0
#: Seconds between two tries, from the first to the longest.
_FIRST_PAUSE_S = 0.0001
_LONGEST_PAUSE_S = 0.002


class FileLock:
    """An exclusive lock between processes. Not re-entrant; its owner sees to threads.

    The file's folder is made when it is missing, also one that was deleted meanwhile.
    """

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._descriptor: int | None = None

    @property
    def is_made(self) -> bool:
        """Whether somebody has used this lock: its file is there."""
        return self._descriptor is not None or os.path.lexists(self._path)

    def acquire(self) -> None:
        """Take the lock. Raises: OperationalError when others keep it for too long."""
        waited_s, pause_s = 0.0, _FIRST_PAUSE_S
        while not self._try():
            if waited_s >= PATIENCE_S:
                raise OperationalError(
                    f"{self._path} has been locked by another process for {PATIENCE_S:.0f} s"
                    " (is one of its writers stopped?)"
                )
            # Chance keeps two waiters from meeting again at the same instant.
            nap_s = pause_s * (0.5 + random.random())  # noqa: S311 - no secret
            self._clock.sleep(nap_s)
            waited_s += nap_s
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def release(self) -> None:
        """Free the lock."""
        if self._descriptor is not None:
            _unlock(self._descriptor)

    def forget(self) -> None:
        """Close the file. A lock held through a copy of it in a forked process stays there."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _try(self) -> bool:
        descriptor = self._descriptor
        if descriptor is None:
            descriptor = self._descriptor = self._open()
        if not _try_lock(descriptor):
            return False
        if os.fstat(descriptor).st_nlink:
            return True
        # Somebody deleted the file: a lock on it would exclude nobody.
        self.forget()
        return False

    def _open(self) -> int:
        make_folder(self._path)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            return os.open(self._path, flags, 0o600)
        except OSError as error:
            if error.errno in _PASSING:
                raise OperationalError(f"{self._path}: {error.strerror}") from error
            raise ImproperlyConfigured(
                f"{self._path} cannot be opened by this user: {error.strerror}"
            ) from error
