"""The doorbell: a datagram socket that is rung after a commit, so that nobody has to poll.

A ring says only "look": the database says what there is. The kernel keeps a ring until it is
read, so who registers first, then looks, then waits, misses nothing. A bell whose process died
refuses the connection, which is how the dead are told from the busy. Addresses are `unix:/path`,
`udp:port` (on 127.0.0.1), `reply:/path` (either of them) and `poll:` (no bell; its owner looks by
itself).
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import os
import select
import socket
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tqconsole.engine.exceptions import ImproperlyConfigured

#: Bytes a socket's path may have, with room below the kernels' 108 (Linux) and 104 (macOS).
_LONGEST_PATH_BYTES = 100
#: Characters of a bell's file name.
_NAME_LENGTH = 17
_PORT_SUFFIX = ".port"


class Liveness(enum.Enum):
    """What a bell's answer says of its owner."""

    ALIVE = "alive"
    DEAD = "dead"
    #: Only the lease can tell.
    UNKNOWN = "unknown"


class Bell:
    """One's own bell. Used by one thread; `close` by any.

    `kind` is auto, udp or poll; auto takes a unix socket where the system has them.
    """

    def __init__(self, folder: Path, name: str, kind: str = "auto") -> None:
        self._path = folder / name
        self._socket: socket.socket | None = None
        self.address = "poll:"
        if kind == "poll":
            return
        if kind == "auto" and hasattr(socket, "AF_UNIX"):
            self._bind_unix()
        else:
            self._bind_udp()

    def fileno(self) -> int | None:
        """Return the descriptor that becomes readable when somebody rings, None without a bell."""
        return None if self._socket is None else self._socket.fileno()

    def drain(self) -> bool:
        """Take all rings; True when there were any. Never blocks."""
        rung = False
        if self._socket is not None:
            # A closed or empty socket: nothing rang.
            with contextlib.suppress(OSError):
                while True:
                    self._socket.recv(16)
                    rung = True
        return rung

    def wait(self, timeout_s: float) -> bool:
        """Sleep until somebody rings, at most `timeout_s`; the ring stays to be drained."""
        if self._socket is None or self._socket.fileno() < 0:
            return False
        poller = select.poll() if hasattr(select, "poll") else None
        if poller is None:
            return bool(select.select([self._socket], [], [], timeout_s)[0])
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(max(0.0, timeout_s) * 1000))

    def ring_self(self) -> None:
        """Ring it, so that a selector wakes again for what was left over."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(b"!", self._socket.getsockname())

    def close(self) -> None:
        """Take it down. May be called twice."""
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        with contextlib.suppress(OSError):
            if self.address.startswith("unix:"):
                self._path.unlink()
            else:
                self._path.with_suffix(_PORT_SUFFIX).unlink()

    def abandon(self) -> None:
        """Close this process's copy and leave the bell to its owner (in a forked child)."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _bind_unix(self) -> None:
        path = str(self._path)
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            if liveness_of(f"unix:{path}") is Liveness.DEAD:
                self._path.unlink(missing_ok=True)
            bell.bind(path)
            bell.settimeout(0)
        except OSError:
            bell.close()
            raise
        self._socket, self.address = bell, f"unix:{path}"

    def _bind_udp(self) -> None:
        bell = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bell.bind(("127.0.0.1", 0))
            bell.settimeout(0)
            port = bell.getsockname()[1]
            self._path.with_suffix(_PORT_SUFFIX).write_text(str(port), encoding="ascii")
        except OSError:
            bell.close()
            raise
        self._socket, self.address = bell, f"udp:{port}"


class Ringer:
    """Rings others' bells. Thread-safe: a datagram is sent whole or not at all."""

    def __init__(self) -> None:
        self._unix: socket.socket | None = None
        self._udp: socket.socket | None = None

    def ring(self, addresses: Iterable[str]) -> None:
        """Ring these. Nobody at home, or one that rings already, is fine. Never raises."""
        for address in addresses:
            with contextlib.suppress(OSError, ValueError):
                kind, _, place = address.partition(":")
                if kind == "reply":
                    kind, place = _resolved(place)
                if kind == "unix":
                    self._unix = self._unix or _sender(socket.AF_UNIX)
                    self._unix.sendto(b"!", place)
                elif kind == "udp":
                    self._udp = self._udp or _sender(socket.AF_INET)
                    self._udp.sendto(b"!", ("127.0.0.1", int(place)))

    def close(self) -> None:
        """Close its sockets; the next ring opens them again."""
        for sender in (self._unix, self._udp):
            if sender is not None:
                sender.close()
        self._unix = self._udp = None

    def __del__(self) -> None:
        self.close()


def liveness_of(address: str) -> Liveness:
    """Ask the kernel whether the owner of a bell of this machine lives, without ringing it."""
    kind, _, place = address.partition(":")
    if kind != "unix" or not hasattr(socket, "AF_UNIX"):
        # A port may be anybody's by now.
        return Liveness.UNKNOWN
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as prober:
        prober.settimeout(0)
        try:
            prober.connect(place)
        except ConnectionRefusedError:
            return Liveness.DEAD
        except OSError:
            return Liveness.UNKNOWN
    return Liveness.ALIVE


def reply_name(reply_to: str) -> str:
    """Return the file name of the bell of who waits at `reply_to`.

    A digest: what a message carries must not choose a path.
    """
    return "r" + hashlib.sha256(reply_to.encode("utf-8", "replace")).hexdigest()[:16]


def reply_address(folder: str, reply_to: str) -> str:
    """Return the address of who waits at `reply_to`: which kind of bell is seen when it rings."""
    return f"reply:{folder}/{reply_name(reply_to)}"


def _resolved(place: str) -> tuple[str, str]:
    if os.path.exists(place):  # noqa: PTH110 - for every result; Path costs four times as much
        return "unix", place
    return "udp", Path(place + _PORT_SUFFIX).read_text(encoding="ascii")


def _sender(family: socket.AddressFamily) -> socket.socket:
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.settimeout(0)
    return sender


def bells_folder(path: str, known: str | None = None) -> Path:
    """Return the folder for the bells of the store at `path`, made and private.

    `known` is what an earlier process chose; it is taken when it can be used. A path that is too
    long for a socket moves to the user's runtime folder, else to a private temporary one.
    """
    candidates = [Path(known)] if known else []
    beside = Path(path + "-bells")
    if len(os.fsencode(beside)) + 1 + _NAME_LENGTH <= _LONGEST_PATH_BYTES:
        candidates.append(beside)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    user = os.getuid() if hasattr(os, "getuid") else 0
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    candidates.extend(
        Path(base) / f"tq-{user}-{digest}" for base in (runtime, tempfile.gettempdir()) if base
    )
    for folder in candidates:
        if _is_private_folder(folder):
            return folder
    raise ImproperlyConfigured(
        f"no private folder can be made for the doorbells of {path}"
        f" (tried {', '.join(map(str, candidates))}); use ?bell=poll"
    )


def _is_private_folder(folder: Path) -> bool:
    """Make the folder; refuse one that somebody else owns or may write."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        return False
    return os.name == "nt" or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
