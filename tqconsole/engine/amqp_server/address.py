"""Where a RabbitMQ server is and how it is spoken to: a URL and kombu's options become one value.

Forms: `amqp://[user:password@]host[:port]/vhost`, `amqps://` for TLS. No vhost, and `//`, is `/`.
Options stand in the URL's query or in the transport options; the URL wins.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tqconsole.engine.alternates import alternates
from tqconsole.engine.exceptions import ImproperlyConfigured

#: Seconds that connecting and one answer may take; no wait for the server is endless.
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5.0, 10.0
#: Seconds after which a silent peer is asked for; after two of them it is dead (design §3).
HEARTBEAT_S = 5.0
#: The option in which `broker_native_delayed_delivery_queue_type` arrives.
DELAYED_QUEUE_TYPE = "native_delayed_delivery_queue_type"
_PORT, _TLS_PORT = 5672, 5671
_TLS_SCHEMES = ("amqps",)
#: TLS options as kombu names them, and as Redis' do.
_TLS_NAMES = {
    "ca_certs": "ca_certs", "ssl_ca_certs": "ca_certs",
    "certfile": "certfile", "ssl_certfile": "certfile",
    "keyfile": "keyfile", "ssl_keyfile": "keyfile",
    "cert_reqs": "cert_reqs", "ssl_cert_reqs": "cert_reqs",
    "server_hostname": "server_hostname",
    "ciphers": "ciphers",
}  # fmt: skip
_CERT_REQS = {
    "CERT_REQUIRED": ssl.CERT_REQUIRED, "required": ssl.CERT_REQUIRED,
    "CERT_OPTIONAL": ssl.CERT_OPTIONAL, "optional": ssl.CERT_OPTIONAL,
    "CERT_NONE": ssl.CERT_NONE, "none": ssl.CERT_NONE,
    ssl.CERT_REQUIRED: ssl.CERT_REQUIRED, ssl.CERT_OPTIONAL: ssl.CERT_OPTIONAL,
    ssl.CERT_NONE: ssl.CERT_NONE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """A virtual host of a server. `tls` is None for a plain link, else py-amqp's options."""

    host: str
    port: int
    vhost: str
    username: str
    password: str
    url: str
    tls: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    #: Set when the server has let one of us in: what it refuses later may pass.
    has_let_in: threading.Event = field(default_factory=threading.Event, compare=False)
    #: Servers to try, in this order, when this one does not answer.
    others: tuple[Address, ...] = ()

    @property
    def server(self) -> str:
        """The server in words, for messages; no password in it."""
        return f"{self.host}:{self.port}"

    @property
    def place(self) -> str:
        """The comparable word for `Broker.place` and `Backend.rides_on`."""
        return f"amqp:{self.server}/{self.vhost}"

    def seconds(self, name: str, default: float) -> float:
        """Return an option that is a time. Raises: ImproperlyConfigured."""
        value = self.options.get(name)
        try:
            number = default if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"{name} is a number of seconds, not {value!r}") from error
        if number < 0:
            raise ImproperlyConfigured(f"{name} is a number of seconds, not {value!r}")
        return number

    @property
    def confirms(self) -> bool:
        """Whether a publish waits until the server has it (`confirm_publish`, on by default)."""
        value = self.options.get("confirm_publish", True)
        return str(value).lower() not in ("0", "false", "no", "off", "none", "")


def locate(url: str, options: Mapping[str, Any] | None = None) -> Address:
    """Return the address behind a URL, or behind several with ";" between them: the first, which
    knows the others. Raises: ImproperlyConfigured.
    """
    first, *others = [_located(it, options) for it in alternates(url)]
    if not others:
        return first
    shown = ";".join(it.url for it in (first, *others))
    return replace(first, url=shown, others=tuple(others))


def _located(url: str, options: Mapping[str, Any] | None) -> Address:
    parts = urlsplit(url)
    given = {**(options or {}), **dict(parse_qsl(parts.query, keep_blank_values=True))}
    try:
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{masked(url)}: the port is no number") from error
    tls = _tls(parts.scheme.lower() in _TLS_SCHEMES, given)
    host = parts.hostname or "127.0.0.1"
    return Address(
        # As kombu: the name may mean another address family than the one RabbitMQ listens on.
        host="127.0.0.1" if host == "localhost" else host,
        port=port or (_PORT if tls is None else _TLS_PORT),
        vhost=unquote(parts.path[1:]) or str(given.get("virtual_host") or "/"),
        username=_login(parts.username, given.get("userid")),
        password=_login(parts.password, given.get("password")),
        url=masked(url),
        tls=tls,
        options=given,
    )


def masked(url: str) -> str:
    """Return the URL with its password as `**`."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    login, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login.partition(':')[0]}:**@{place}").geturl()


def _login(in_url: str | None, in_options: Any) -> str:
    return unquote(in_url) if in_url else str(in_options or "guest")


def _tls(is_wanted: bool, given: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: FBT001 - a value, not a mode
    asked = given.get("ssl")
    if isinstance(asked, Mapping):
        given = {**given, **asked}
    elif asked is not None and str(asked).lower() in ("0", "false", "no", "off", ""):
        asked = None
    if not (is_wanted or asked):
        return None
    found = {
        name: given[option]
        for option, name in _TLS_NAMES.items()
        if given.get(option) not in (None, "")
    }
    # Without a word about it the server's certificate is checked: the safe reading.
    required = found.get("cert_reqs", ssl.CERT_REQUIRED)
    if required not in _CERT_REQS:
        raise ImproperlyConfigured(
            f"cert_reqs is CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE, not {required!r}"
        )
    found["cert_reqs"] = _CERT_REQS[required]
    return found
