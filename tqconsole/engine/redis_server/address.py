"""Where a Redis server is and how it is spoken to: a URL and kombu's options become one value.

Forms: `redis://[user:password@]host[:port]/db`, `rediss://` for TLS, `redis+socket:///path` with
`?virtual_host=db`, `sentinel://` as in `guard.py`. Options stand in the URL's query or in the
transport options; the URL wins.
What the URL does not name (host, port, db, username, password) may be an option too.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tqconsole.engine.alternates import alternates
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.redis_server.credentials import credentials_of
from tqconsole.engine.redis_server.guard import Guard, guard_of
from tqconsole.engine.redis_server.tls import tls_of

#: Seconds that connecting and one answer may take; no wait for the server is endless.
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5.0, 10.0
_PORT = 6379


class Silences:
    """How often the server was asked something and said nothing, on whatever connection.

    A connection that only listens cannot tell that nobody is there any more: the kernel's keepalive
    is answered by any proxy in between. So all connections to a server share what one has found.
    """

    def __init__(self) -> None:
        self.count = 0

    def note(self) -> None:
        """One more. Any thread may call it: that it has changed is what counts."""
        self.count += 1


@dataclass(frozen=True, slots=True)
class Address:
    """A server's database. `connection` is what a connection is made with."""

    host: str
    port: int
    path: str
    db: int
    username: str | None
    password: str | None
    is_tls: bool
    url: str
    connection: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    #: Set when the server has let one of us in: what it refuses later may pass.
    has_let_in: threading.Event = field(default_factory=threading.Event, compare=False)
    silences: Silences = field(default_factory=Silences, compare=False)
    #: Servers to try, in this order, when this one does not answer.
    others: tuple[Address, ...] = ()
    #: Who is asked where the server is, at each new connection; None: it is where it is.
    guard: Guard | None = None

    @property
    def place(self) -> str:
        """The comparable word for `Broker.place` and `Backend.rides_on`."""
        servers = ";".join(it.server for it in (self, *self.others))
        return f"redis:{servers}/{self.db}"

    @property
    def server(self) -> str:
        """The server in words, for messages; no password in it."""
        if self.guard is not None:
            return self.guard.words
        if self.path:
            return self.path
        host = "127.0.0.1" if self.host == "localhost" else self.host
        return f"{host}:{self.port}"

    def flag(self, name: str, default: bool) -> bool:  # noqa: FBT001 - a value, not a mode
        """Return an option that is on or off."""
        value = self.options.get(name, default)
        return str(value).lower() not in ("0", "false", "no", "off", "")

    def number(self, name: str, default: float) -> float:
        """Return an option that is a number. Raises: ImproperlyConfigured."""
        return _number(self.options.get(name, default), name)


def locate(url: str, options: Mapping[str, Any] | None = None) -> Address:
    """Return the address behind a URL, or behind several with ";" between them: the first, which
    knows the others. Raises: ImproperlyConfigured.
    """
    if url.lower().startswith("sentinel:"):
        return _guarded(url, options)
    first, *others = [_located(it, options) for it in alternates(url)]
    if not others:
        return first
    if {it.db for it in others} != {first.db}:
        raise ImproperlyConfigured("Redis servers that stand in for each other use one database")
    shown = ";".join(it.url for it in (first, *others))
    return replace(first, url=shown, others=tuple(others))


def _guarded(url: str, options: Mapping[str, Any] | None) -> Address:
    """Return the master's address behind a URL that names its Sentinels."""
    chunks = alternates(url)
    places = [place for chunk in chunks for place in _sentinels(chunk)]
    parts = urlsplit(chunks[0])
    login, at, _ = parts.netloc.rpartition("@")
    host, port = places[0]
    one = parts._replace(netloc=f"{login}{at}{host}" + (f":{port}" if port else "")).geturl()
    master = _located(one, options)
    shown = ";".join(masked(chunk) for chunk in chunks)
    return replace(master, url=shown, guard=guard_of(places, master.options))


def _sentinels(chunk: str) -> list[tuple[str, int | None]]:
    hosts = urlsplit(chunk).netloc.rpartition("@")[2].split(";")
    try:
        found = [urlsplit(f"//{host}") for host in hosts]
        return [(parts.hostname or "127.0.0.1", parts.port) for parts in found]
    except ValueError as error:
        raise ImproperlyConfigured(f"{masked(chunk)}: the port is no number") from error


def _located(url: str, options: Mapping[str, Any] | None) -> Address:
    if "://" not in url:
        # Celery's `result_backend = "redis"`: all of it stands in the settings.
        url = f"{url.partition(':')[0]}://"
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    given = {**(options or {}), **dict(parse_qsl(parts.query, keep_blank_values=True))}
    is_socket = scheme == "redis+socket"
    tls = None if is_socket else tls_of(given, is_secure_scheme=scheme == "rediss")
    address = Address(
        host=(parts.hostname or str(given.get("host") or "127.0.0.1")) if not is_socket else "",
        port=_port(url, given),
        path=unquote(parts.path) if is_socket else "",
        db=_db(url, given, "" if is_socket else parts.path),
        username=_unquoted(parts.username) or given.get("username"),
        password=_unquoted(parts.password) or given.get("password"),
        is_tls=tls is not None,
        url=_shown(url, given, is_tls=tls is not None),
        options=given,
    )
    if is_socket and not address.path:
        raise ImproperlyConfigured("redis+socket:// needs the socket's path: redis+socket:///path")
    address.connection.update({**_connection(address), **(tls or {})})
    return address


def masked(url: str) -> str:
    """Return the URL with its password as `**`."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    login, _, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return parts._replace(netloc=f"{user}:**@{place}").geturl()


def _shown(url: str, given: Mapping[str, Any], *, is_tls: bool) -> str:
    """Return the URL as it is told: without its password, with what settings made of it."""
    parts = urlsplit(masked(url))
    if is_tls:
        parts = parts._replace(scheme="rediss")
    if not parts.netloc and given.get("host"):
        parts = parts._replace(netloc=f"{given['host']}:{_port(url, given)}")
    return parts.geturl() if parts.netloc else masked(url)


def _port(url: str, given: Mapping[str, Any]) -> int:
    try:
        return int(urlsplit(url).port or given.get("port") or _PORT)
    except ValueError as error:
        raise ImproperlyConfigured(f"{masked(url)}: the port is no number") from error


def _db(url: str, given: Mapping[str, Any], path: str) -> int:
    text = path.strip("/") or str(given.get("virtual_host", given.get("db", ""))).strip("/")
    if not text:
        return 0
    try:
        return int(text)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{masked(url)}: the database is a number, not {text!r} (redis://host:6379/0)"
        ) from error


def _connection(address: Address) -> dict[str, Any]:
    given = address.options
    wanted: dict[str, Any] = {
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "credentials": credentials_of(given.get("credential_provider")),
        "socket_timeout": _number(
            given.get("socket_timeout") or ANSWER_TIMEOUT_S, "socket_timeout"
        ),
        "client_name": given.get("client_name"),
    }
    if address.path:
        return {**wanted, "path": address.path}
    wanted["host"], wanted["port"] = address.host, address.port
    wanted["socket_connect_timeout"] = _number(
        given.get("socket_connect_timeout") or CONNECT_TIMEOUT_S, "socket_connect_timeout"
    )
    wanted["socket_keepalive"] = address.flag("socket_keepalive", default=True)
    own = given.get("socket_keepalive_options")
    wanted["socket_keepalive_options"] = dict(own) if isinstance(own, Mapping) else _keepalive()
    return wanted


def _keepalive() -> dict[int, int]:
    """Return options by which the kernel notices within 15 s that nobody is there any more, also
    on a connection that only listens.
    """
    wanted = {
        "TCP_KEEPIDLE": 5,
        "TCP_KEEPINTVL": 3,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 15_000,
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def _unquoted(value: str | None) -> str | None:
    return unquote(value) if value else None


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"{name} is a number, not {value!r}") from error
