"""Making a connection to a Redis server: socket, TLS, then login, name and database in one write.

By hand, because importing redis-py takes longer than everything else that a worker does at its
start, and hiredis is all of it that is needed here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

import hiredis

from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.redis_server.credentials import login_of

#: Bytes read at once; what a server says of itself is shorter.
_READ_BYTES = 64 * 1024
_CERT_REQS = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}


class RefusedError(Exception):
    """The server answered, and let nobody in; the text is its own."""


def open_socket(address: Address) -> tuple[socket.socket, dict[str, Any]]:
    """Return a socket on which the server speaks RESP3, and what the server says of itself.

    Raises: OSError, ValueError (options that TLS cannot use), hiredis.HiredisError (it is no Redis
    server), RefusedError.
    """
    given = address.connection
    link = _unix_socket(given) if address.path else _tcp_socket(given)
    try:
        if address.is_tls:
            link = _tls_context(given).wrap_socket(link, server_hostname=address.host)
        return link, _greeted(link, given)
    except BaseException:
        link.close()
        raise


def ask(link: socket.socket, command: tuple[Any, ...]) -> Any:
    """Return the answer to one command, its texts as `str`. Raises: OSError, RefusedError."""
    link.sendall(_packed(command))
    (answer,) = _answers(link, 1)
    if isinstance(answer, hiredis.ReplyError):
        raise RefusedError(str(answer))
    if isinstance(answer, Mapping):
        return {_text(key): _text(value) for key, value in answer.items()}
    return [_text(it) for it in answer] if isinstance(answer, list) else _text(answer)


def _tcp_socket(given: Mapping[str, Any]) -> socket.socket:
    """Return a socket connected to the first of a host's addresses that answers."""
    found = socket.getaddrinfo(given["host"], given["port"], 0, socket.SOCK_STREAM)
    for at, (family, kind, proto, _, place) in enumerate(found, start=1):
        link = socket.socket(family, kind, proto)
        try:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if given["socket_keepalive"]:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, value in given["socket_keepalive_options"].items():
                    link.setsockopt(socket.IPPROTO_TCP, option, value)
            link.settimeout(given["socket_connect_timeout"])
            link.connect(place)
        except OSError:
            link.close()
            if at == len(found):
                raise
        else:
            link.settimeout(given["socket_timeout"])
            return link
    raise OSError(f"{given['host']} has no address")


def _unix_socket(given: Mapping[str, Any]) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(given["socket_timeout"])
        link.connect(given["path"])
    except OSError:
        link.close()
        raise
    return link


def _tls_context(given: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # In this order: a context that checks names accepts no other mode.
    context.check_hostname = bool(given["ssl_check_hostname"])
    context.verify_mode = _CERT_REQS[given["ssl_cert_reqs"]]
    certificate, key = given.get("ssl_certfile"), given.get("ssl_keyfile")
    if certificate or key:
        if not certificate:
            raise ValueError("ssl_keyfile is given without ssl_certfile")
        context.load_cert_chain(certificate, key, given.get("ssl_password"))
    authorities = [given.get(f"ssl_ca_{name}") for name in ("certs", "path", "data")]
    if any(authorities):
        context.load_verify_locations(*authorities)
    if given.get("ssl_min_version") is not None:
        context.minimum_version = _tls_version(given["ssl_min_version"])
    if given.get("ssl_ciphers"):
        context.set_ciphers(given["ssl_ciphers"])
    return context


def _tls_version(value: Any) -> ssl.TLSVersion:
    """Return what `ssl.TLSVersion`, its number or its name (TLSv1_2) means. Raises: ValueError."""
    if value in ssl.TLSVersion.__members__:
        return ssl.TLSVersion[value]
    return ssl.TLSVersion(value)


def _greeted(link: socket.socket, given: Mapping[str, Any]) -> dict[str, Any]:
    """Log in, say a name and choose the database; return the server's answer to HELLO."""
    hello: list[Any] = ["HELLO", 3]
    if given["credentials"] is not None:
        hello += ["AUTH", *login_of(given["credentials"])]
    elif given["username"] or given["password"]:
        hello += ["AUTH", given["username"] or "default", given["password"] or ""]
    if given["client_name"]:
        hello += ["SETNAME", given["client_name"]]
    commands: list[tuple[Any, ...]] = [tuple(hello)]
    if given["db"]:
        commands.append(("SELECT", given["db"]))
    link.sendall(b"".join(map(_packed, commands)))
    answers = _answers(link, len(commands))
    for answer in answers:
        if isinstance(answer, hiredis.ReplyError):
            raise RefusedError(str(answer))
    if not isinstance(answers[0], Mapping):
        raise hiredis.ProtocolError(f"it answers {answers[0]!r:.100}")
    return {_text(key): _text(value) for key, value in answers[0].items()}


def _answers(link: socket.socket, count: int) -> list[Any]:
    """Return the answers to all commands, or those that came before the server hung up: it may do
    so behind the one that tells why.
    """
    reader = hiredis.Reader(notEnoughData=...)
    answers: list[Any] = []
    while len(answers) < count:
        try:
            data = link.recv(_READ_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            if answers:
                return answers
            raise ConnectionResetError("closed by server")
        reader.feed(data)
        while (answer := reader.gets()) is not ...:
            answers.append(answer)
    return answers


def _packed(command: tuple[Any, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)
    return packed


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
