"""A recording: what a console heard and learned, line by line, so that it can be seen again.

The first line says what it is; each other line is one JSON object with the instant `at` of its
arrival: `{"at", "events": [...]}`, `{"at", "told": KIND, "value"}` (`core/facts.py`) or `{"at",
"link", "detail"}`. Lines of `tqconsole events --json` are taken as well. A name that ends in .gz is
compressed. Recordings hold arguments and results as the events carry them: files are 0600.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from tqconsole.core.errors import ConsoleError
from tqconsole.core.facts import Told, read_fact
from tqconsole.core.ingest import Arrived
from tqconsole.core.merge import number
from tqconsole.core.sanitize import clean

VERSION = 1
#: Lines that wait for a slow disk; each is one batch of events or one fact. Then the newest go.
WAITING_LIMIT = 5000
#: Seconds between two writes, and seconds that the end waits for the last lines.
WRITE_S, STOP_S = 0.5, 5.0
#: Bytes at the end of a file in which its last whole line is looked for.
TAIL_BYTES = 4 * 1024 * 1024

_write_fast = msgspec.json.Encoder(enc_hook=repr).encode
_read_fast = msgspec.json.Decoder().decode


class RecordingError(ConsoleError):
    """A file is no recording, or cannot be made; the text names it."""


class Recorder:
    """Writes one recording, in a thread of its own, between `start` and `stop`."""

    def __init__(self, path: Path, *, broker_url: str = "", context: str = "") -> None:
        """Make the file. Raises: RecordingError, also where one is there already."""
        self.path = path
        #: Bytes written, before compression; and what is wrong, "" while nothing is.
        self.written_bytes = 0
        self.note = ""
        self._head = {"context": context, "broker": broker_url}
        self._waiting: deque[dict[str, Any]] = deque()
        self._wake = threading.Condition()
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        try:
            number_ = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise RecordingError(f"{path} is there already: name another file") from error
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {error.strerror}") from error
        raw = os.fdopen(number_, "wb")
        self._file: IO[bytes] = raw
        if _is_packed(path):
            self._file = cast(IO[bytes], gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=5))
        self._raw = raw

    def start(self, now_at: float) -> None:
        """Begin to write."""
        self._put({"tqconsole": "recording", "version": VERSION, "at": now_at, **self._head})
        self._thread = threading.Thread(target=self._run, name="tqconsole-recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits and close. May be called twice."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=STOP_S)
            self._thread = None

    def note_events(self, batch: Arrived) -> None:
        """Keep a batch; its events must not be changed afterwards."""
        self._put({"at": batch.at, "events": batch.events})

    def note_fact(self, fact: Told, now_at: float) -> None:
        """Keep what was learned by asking."""
        self._put({"at": now_at, "told": fact.kind, "value": fact.value})

    def note_link(self, link: str, detail: str, now_at: float) -> None:
        """Keep how the connection does."""
        self._put({"at": now_at, "link": link, "detail": detail})

    def _put(self, entry: dict[str, Any]) -> None:
        with self._wake:
            if self._is_stopping:
                return
            if len(self._waiting) < WAITING_LIMIT:
                self._waiting.append(entry)
            else:
                self.note = f"the recording has gaps: {self.path} is written too slowly"

    def _run(self) -> None:
        try:
            with self._raw, self._file:
                while self._write():
                    pass
        except OSError as error:
            self.note = f"the recording has ended: {self.path}: {error.strerror or error}"
            with self._wake:
                self._is_stopping = True
                self._waiting.clear()

    def _write(self) -> bool:
        """Write what waits; False at the end."""
        with self._wake:
            if not self._waiting and not self._is_stopping:
                self._wake.wait(WRITE_S)
            entries, is_stopping = list(self._waiting), self._is_stopping
            self._waiting.clear()
        for entry in entries:
            line = _line(entry)
            self._file.write(line)
            self.written_bytes += len(line)
        self._file.flush()
        return not is_stopping


@dataclass(frozen=True, slots=True)
class Entry:
    """One line, read: one of the three is there."""

    at: float
    events: tuple[dict[str, Any], ...] = ()
    event_bytes: int = 300
    fact: Told | None = None
    link: tuple[str, str] | None = None


class Recording:
    """A file that is read from its beginning."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises: RecordingError where it cannot be read or is no recording."""
        self.path = path
        self.context = self.broker_url = ""
        #: Where its end is damaged, "" where it is whole; known when that was reached.
        self.damage = ""
        self._line_count = 0
        self._latest_at = 0.0
        try:
            self._file = gzip.GzipFile(path) if _is_packed(path) else path.open("rb")
            self._next = self._first()
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RecordingError(f"{path} cannot be read: {reason}") from error
        if self._next is None:
            self.close()
            raise RecordingError(
                f"{path} is no recording: tqconsole --record FILE and tqconsole events --json"
                " make some"
            )
        self.began_at = self._next.at
        self.ended_at = _last_at(path)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def take(self, until_at: float) -> Entry | None:
        """Return the next entry if it came by then, else None; None also at the end."""
        entry = self._next
        if entry is None or entry.at > until_at:
            return None
        self._next = self._read()
        return entry

    @property
    def is_over(self) -> bool:
        """True when everything was taken."""
        return self._next is None

    def _first(self) -> Entry | None:
        head = self._object()
        if head is None:
            return None
        if head.get("tqconsole") != "recording":
            return self._entry(head)
        if head.get("version") != VERSION:
            self.close()
            raise RecordingError(f"{self.path} was made by another version of tqconsole")
        self.context = clean(head.get("context"), 80)
        self.broker_url = clean(head.get("broker"), 200)
        began_at = number(head.get("at"))
        return None if began_at is None else Entry(began_at)

    def _read(self) -> Entry | None:
        while True:
            value = self._object()
            if value is None:
                return None
            entry = self._entry(value)
            if entry is not None:
                return entry

    def _object(self) -> dict[str, Any] | None:
        """Return the next line's object; None at the end, be it the file's or what can be read."""
        value = self._read_line()
        if value is None:
            self.close()
        return value

    def _read_line(self) -> dict[str, Any] | None:
        try:
            line = self._file.readline()
            if not line:
                return None
            self._line_count += 1
            value = _value(line)
        except (OSError, EOFError, zlib.error, ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            self.damage = f"the recording is damaged behind line {self._line_count - 1}"
            return None
        return value

    def _entry(self, value: dict[str, Any]) -> Entry | None:
        """Return what a line says; None for what this version does not know."""
        if isinstance(value.get("type"), str):
            value = {"at": value.get("timestamp"), "events": [value]}
        at = number(value.get("at"))
        if at is None:
            return None
        # Clocks of several hosts stamp plain events; a recording never steps back.
        at = self._latest_at = max(at, self._latest_at)
        events = value.get("events")
        if isinstance(events, list):
            known = tuple(event for event in events if isinstance(event, dict))
            return Entry(at, known) if known else None
        if isinstance(value.get("link"), str):
            return Entry(at, link=(value["link"], clean(value.get("detail"), 300)))
        try:
            fact = read_fact(str(value.get("told")), value.get("value"))
        except msgspec.ValidationError:
            return None
        return Entry(at, fact=fact) if fact is not None else None


def _is_packed(path: Path) -> bool:
    return path.suffix == ".gz"


def _line(entry: dict[str, Any]) -> bytes:
    try:
        return _write_fast(entry) + b"\n"
    except (UnicodeEncodeError, ValueError, TypeError, OverflowError, RecursionError):
        # Lone surrogates, huge numbers, keys that are no texts: the standard library writes them.
        return json.dumps(entry, default=_plain, skipkeys=True).encode() + b"\n"


def _plain(value: object) -> object:
    return msgspec.to_builtins(value, enc_hook=repr)


def _value(line: bytes) -> object:
    try:
        return _read_fast(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(line)


def _last_at(path: Path) -> float | None:
    """Return the instant of the last whole line, None where that takes reading everything."""
    if _is_packed(path):
        return None
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().splitlines()
    for line in reversed(lines):
        try:
            value = _value(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            at = number(value.get("at", value.get("timestamp")))
            if at is not None:
                return at
    return None
