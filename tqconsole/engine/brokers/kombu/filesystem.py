"""kombu's filesystem transport in its own files, with what it lacks.

kombu's names files by the millisecond, so that messages of one millisecond come in any order; it
lets readers see half-written files; it forgets what is in the hands of a process that is killed;
and it shares its bindings between all folders of a process. Here a file appears whole, names grow,
and what is in hand lies in a folder of its owner's, `<data_folder_in>/.held/<owner>`, until it is
acknowledged. Whoever finds that an owner's lock is free puts its files back under their old names.
Celery's workers on the same folders see none of this.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections import deque
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem, virtual
from kombu.utils.json import dumps

from tqconsole.engine.brokers.kombu.envelope import REDELIVERED, wrapped
from tqconsole.engine.clock import SYSTEM_CLOCK
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.serialization import decode_json

_HELD, _SUFFIX, _LOCK = ".held", ".msg", ".lock"
#: Ends the first part of a file's name when the message was given out before.
_AGAIN = "-again"
#: Names read at once: every reading lists the whole folder.
_MOST_NAMES = 100
#: Seconds, and how often, to wait for kombu's writer between making a file and writing to it.
_WRITER_S, _WRITER_LOOKS = 0.005, 20


class Holding:
    """The folder of one owner. A lock that dies with its process says that the owner lives."""

    def __init__(self, data_folder: Path) -> None:
        self._data_folder = data_folder
        self._held_folder = data_folder / _HELD
        self._owner = uuid.uuid4().hex
        self._lock_descriptor: int | None = None

    @property
    def _own_folder(self) -> Path:
        return self._held_folder / self._owner

    def take(self, name: str) -> Path | None:
        """Take a message's file in hand; None when another was faster."""
        self._begin()
        path = self._own_folder / name
        try:
            (self._data_folder / name).rename(path)
        except FileNotFoundError:
            return None
        return path

    def find(self, name: str) -> Path:
        """Return where a file is that is in hand."""
        return self._own_folder / name

    def put_back(self, name: str) -> None:
        """Put a file back to where it was."""
        _put_back(self._own_folder / name, self._data_folder)

    def restore_dead(self) -> None:
        """Put back what owners had in hand that live no more."""
        for folder in self._held_folder.glob("*/"):
            if folder.name == self._owner or not folder.is_dir():
                continue
            descriptor = _locked(folder.with_suffix(_LOCK))
            if descriptor is None:
                continue
            _give_up(folder, self._data_folder)
            os.close(descriptor)

    def end(self) -> None:
        """Leave; what is still in hand goes back."""
        descriptor, self._lock_descriptor = self._lock_descriptor, None
        if descriptor is None:
            return
        _give_up(self._own_folder, self._data_folder)
        os.close(descriptor)

    def _begin(self) -> None:
        """Make the folder, after its lock: a folder whose lock is free has no living owner."""
        if self._lock_descriptor is not None:
            return
        self._held_folder.mkdir(exist_ok=True)
        self._lock_descriptor = _locked(self._own_folder.with_suffix(_LOCK))
        self._own_folder.mkdir()


class FilesystemChannel(filesystem.Channel):
    """A channel on a folder."""

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        for folder in (self.data_folder_in, self.data_folder_out, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
        self._holding = Holding(Path(self.data_folder_in))
        self._names: dict[str, deque[str]] = {}
        self._unacked_free: set[str] = set()
        self._last_ns = 0

    def restore_dead(self) -> None:
        """Put back what killed processes had in hand."""
        self._holding.restore_dead()

    def basic_consume(
        self,
        queue: str,
        no_ack: bool,  # noqa: FBT001 - kombu's signature
        callback: Any,
        consumer_tag: str,
        **kwargs: Any,
    ) -> None:
        """Consume; without acknowledgements a message is gone when it is read."""
        if no_ack:
            self._unacked_free.add(queue)
        super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Let go of a message for good."""
        super().basic_ack(delivery_tag, multiple)
        self._let_go(delivery_tag)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Put a message back to where it was, or let go of it."""
        super().basic_reject(delivery_tag, requeue)
        if not requeue:
            self._let_go(delivery_tag)

    def close(self) -> None:
        """Leave; what was not acknowledged goes back."""
        was_closed = self.closed
        super().close()
        if not was_closed:
            self._holding.end()

    def _restore(self, message: Any) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._holding.put_back(message.delivery_tag)
        self._names.clear()

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        while True:
            name = self._next_name(queue)
            path = self._holding.take(name)
            if path is None:
                continue
            payload = _payload(path, name)
            if queue in self._unacked_free:
                self._let_go(name)
            return payload

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]  # two of kombu's own differ
        folder = Path(self.data_folder_out)
        name = f"{self._growing_name()}.{queue}{_SUFFIX}"
        # Nobody's queue: kombu takes what stands behind the first dot for it.
        unfinished = folder / f".{name}"
        unfinished.write_bytes(dumps(payload).encode())
        unfinished.rename(folder / name)

    def _growing_name(self) -> str:
        """Return the first part of a file's name in kombu's form, greater than any before."""
        self._last_ns = max(int(SYSTEM_CLOCK.mono() * 1e9), self._last_ns + 1)
        milliseconds, rest_ns = divmod(self._last_ns, 1_000_000)
        return f"{milliseconds}_{rest_ns:08x}{str(uuid.uuid4())[8:]}"

    def _next_name(self, queue: str) -> str:
        names = self._names.get(queue)
        if not names:
            names = self._names[queue] = deque(sorted(self._listed(queue), key=_age)[:_MOST_NAMES])
        if not names:
            raise Empty
        return names.popleft()

    def _listed(self, queue: str) -> list[str]:
        wanted = queue + _SUFFIX
        with os.scandir(self.data_folder_in) as entries:
            return [it.name for it in entries if it.name.partition(".")[2] == wanted]

    def _let_go(self, name: str) -> None:
        path = self._holding.find(name)
        if self.store_processed:
            folder = Path(self.processed_folder)
            folder.mkdir(parents=True, exist_ok=True)
            path.rename(folder / name)
        else:
            path.unlink(missing_ok=True)


class FilesystemTransport(filesystem.Transport):
    """kombu's, with bindings of its own for each connection: they lie in the control folder."""

    Channel = FilesystemChannel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.state = virtual.BrokerState()


def _age(name: str) -> tuple[int, str]:
    digits = name.partition("_")[0]
    return (int(digits) if digits.isdecimal() else 0, name)


def _payload(path: Path, name: str) -> dict[str, Any]:
    """Read a message that is in hand; what is none comes as bytes. Its tag is its file's name."""
    content = _read(path)
    try:
        found = decode_json(content)
    except RefusedError:
        found = None
    is_envelope = isinstance(found, dict) and isinstance(found.get("properties"), dict)
    payload: dict[str, Any] = found if is_envelope else wrapped(content)
    payload["properties"]["delivery_tag"] = name
    if name.partition(".")[0].endswith(_AGAIN):
        payload[REDELIVERED] = True
    return payload


def _read(path: Path) -> bytes:
    """Read a file when its writer is done: kombu's makes it, locks it, and then writes."""
    for _ in range(_WRITER_LOOKS):
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            content = file.read()
        if content:
            return content
        SYSTEM_CLOCK.sleep(_WRITER_S)
    return b""


def _put_back(path: Path, data_folder: Path) -> None:
    first, _, queue = path.name.partition(".")
    again = first if first.endswith(_AGAIN) else first + _AGAIN
    path.rename(data_folder / f"{again}.{queue}")


def _give_up(folder: Path, data_folder: Path) -> None:
    """Put back all that an owner has in hand, and remove its folder and its lock."""
    with contextlib.suppress(FileNotFoundError):  # the owner has just done so itself
        for path in folder.iterdir():
            _put_back(path, data_folder)
        folder.rmdir()
    folder.with_suffix(_LOCK).unlink(missing_ok=True)


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the file's lock, None when another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
