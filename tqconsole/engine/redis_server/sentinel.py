"""The way to a Redis server, through its Sentinels where it has some.

They are asked anew at every connection: a connection breaks when the master changes, and the next
one goes to whoever is master then.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import hiredis

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.redis_server.guard import Guard
from tqconsole.engine.redis_server.opening import RefusedError, ask, open_socket

#: What a Sentinel says of a master that is not to be written to.
_DOWN = ("s_down", "o_down", "disconnected")


def open_server(address: Address) -> tuple[socket.socket, dict[str, Any]]:
    """Return what `open_socket` returns, of the master where there are Sentinels.

    Raises: as `open_socket`; ConnectionError while there is no master; ImproperlyConfigured when
    no Sentinel knows one of that name.
    """
    guard = address.guard
    if guard is None:
        return open_socket(address)
    host, port = _master_of(address, guard)
    link, said = open_socket(_at(address, host, port, {}, is_tls=address.is_tls))
    if said.get("role") != "master":
        link.close()
        raise ConnectionError(f"{host}:{port} is not the master yet, or no more")
    return link, said


def _master_of(address: Address, guard: Guard) -> tuple[str, int]:
    """Return where the first Sentinel that can be believed says that the master is."""
    failures: list[str] = []
    unknown_count = 0
    for host, port in guard.places:
        try:
            return _told_by(_at(address, host, port, guard.spoken, is_tls=guard.is_tls), guard)
        except RefusedError as error:
            unknown_count += "No such master" in str(error)
            failures.append(f"{host}:{port} {error}")
        except (OSError, ValueError, hiredis.HiredisError) as error:
            failures.append(f"{host}:{port} {error}")
    if unknown_count == len(guard.places):
        raise ImproperlyConfigured(
            f"Sentinel at {guard.shown} knows no master {guard.master_name!r}: correct master_name"
        )
    raise ConnectionError("; ".join(failures))


def _told_by(sentinel: Address, guard: Guard) -> tuple[str, int]:
    link, _ = open_socket(sentinel)
    try:
        answer = ask(link, ("SENTINEL", "MASTER", guard.master_name))
    finally:
        link.close()
    said = answer if isinstance(answer, Mapping) else _paired(answer)
    flags = said.get("flags", "").split(",")
    if "master" not in flags or any(flag in _DOWN for flag in flags):
        raise ConnectionError(f"says that the master is {said.get('flags') or 'unknown'}")
    if int(said.get("num-other-sentinels", 0)) < guard.least_others:
        raise ConnectionError(f"knows fewer than {guard.least_others} other Sentinels")
    return said["ip"], int(said["port"])


def _paired(answer: Any) -> dict[str, str]:
    """Return a flat list as the mapping that newer servers send."""
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _at(address: Address, host: str, port: int, other: dict[str, Any], *, is_tls: bool) -> Address:
    connection = {**address.connection, "host": host, "port": port, **other}
    return replace(address, host=host, port=port, is_tls=is_tls, connection=connection, guard=None)
