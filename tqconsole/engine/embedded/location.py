"""Where the embedded store lies: a URL becomes a checked path and two options.

Forms: `sqlite:///abs/queue.db`, `sqlite:relative.db`; options `?sync=full|normal` and
`&bell=auto|udp|poll`. Plain `sqlite:` names no file: the resolution of the broker turns it into
the project's queue before it comes here. Files are 0600 and folders made here 0700, because what
is queued may be secret.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from tqconsole.engine.embedded.mounts import network_type_of
from tqconsole.engine.exceptions import ImproperlyConfigured

logger = logging.getLogger(__name__)

#: The options a URL (or `broker_transport_options`) may carry, and their values.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "sync": ("full", "normal"),
    "bell": ("auto", "udp", "poll"),
}


class Location(msgspec.Struct, frozen=True):
    """A store's file (a real, absolute path) and how it is to be used.

    `is_synced`: publishes and results are on the disk when they are confirmed.
    """

    path: str
    is_synced: bool = True
    bell_kind: str = "auto"

    @property
    def url(self) -> str:
        """The URL that names this location, its options included when they are not the default."""
        options = []
        if not self.is_synced:
            options.append("sync=normal")
        if self.bell_kind != "auto":
            options.append(f"bell={self.bell_kind}")
        return url_of(self.path) + ("?" + "&".join(options) if options else "")

    @property
    def place(self) -> str:
        """The comparable word for `Broker.place` and `Backend.rides_on`."""
        return f"sqlite:{self.path}"


def url_of(path: str | os.PathLike[str]) -> str:
    """Return the absolute `sqlite:///` URL of a file."""
    plain = Path(os.path.realpath(path)).as_posix()
    return "sqlite://" + quote(plain if plain.startswith("/") else "/" + plain)


def locate(url: str, options: Mapping[str, Any] | None = None) -> Location:
    """Return the location that `url` names; a relative path is taken from the current folder.

    Raises: ImproperlyConfigured with a sentence that says what to write instead.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"{url} is not a URL: {error}") from error
    if parts.scheme != "sqlite":
        raise ImproperlyConfigured(f"{url} is not a sqlite: URL")
    if parts.netloc:
        raise ImproperlyConfigured(
            f"{url} names a host ({parts.netloc}); write sqlite:///absolute/path.db"
            " or sqlite:relative.db"
        )
    if parts.fragment:
        raise ImproperlyConfigured(f"{url} holds a #; write it as %23 in the path")
    chosen = {**_known_only(options or {}), **_of_query(url, parts.query)}
    return Location(
        path=_checked_path(url, unquote(parts.path)),
        is_synced=chosen.get("sync", "full") == "full",
        bell_kind=chosen.get("bell", "auto"),
    )


def make_folder(path: str) -> None:
    """Make the folder of the file `path`, 0700, and hide a `.tqconsole` folder from git."""
    folder = Path(path).parent
    if folder.is_dir():
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.name == ".tqconsole":
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise ImproperlyConfigured(f"cannot make the folder {folder}: {error.strerror}") from error


def _checked_path(url: str, path: str) -> str:
    if not path or path == "/":
        raise ImproperlyConfigured(f"{url} names no file; write sqlite:///absolute/path.db")
    if ":memory:" in path:
        raise ImproperlyConfigured(f"{url}: a queue in memory is memory://")
    if "\0" in path:
        raise ImproperlyConfigured("a file's path cannot hold a NUL character")
    if os.name == "nt" and path[0] == "/" and path[2:3] == ":":
        path = path[1:]
    try:
        real = os.path.realpath(os.path.expanduser(path))  # noqa: PTH111 - Path raises for "~x"
        is_folder = Path(real).is_dir()
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{url} names no usable file: {error}") from error
    if is_folder:
        raise ImproperlyConfigured(f"{real} is a folder; name a file in it, as {real}/queue.db")
    network_type = network_type_of(real)
    if network_type:
        raise ImproperlyConfigured(
            f"{real} lies on a network file system ({network_type}), where SQLite's locks do not"
            " hold; use a local disk, or redis:// to share a queue between machines"
        )
    return real


def _of_query(url: str, query: str) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS:
            near = difflib.get_close_matches(key, OPTIONS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(OPTIONS)}"
            raise ImproperlyConfigured(f"{url}: unknown option {key!r}{hint}")
        chosen[key] = _checked_option(url, key, value)
    return chosen


def _known_only(options: Mapping[str, Any]) -> dict[str, str]:
    """Transport options may be meant for another broker: unknown ones are said, not refused."""
    foreign = sorted(set(options) - set(OPTIONS))
    if foreign:
        logger.warning("transport options without a meaning for sqlite: %s", ", ".join(foreign))
    return {
        key: _checked_option("transport options", key, str(options[key]))
        for key in OPTIONS
        if key in options
    }


def _checked_option(where: str, key: str, value: str) -> str:
    if value not in OPTIONS[key]:
        raise ImproperlyConfigured(
            f"{where}: {key}={value}; it is one of {', '.join(OPTIONS[key])}"
        )
    return value
