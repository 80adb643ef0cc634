"""What a `sentinel://` URL and its options say: which Sentinels to ask, and for which master.

Celery's forms: `sentinel://[user:password@]host[:port]/db;sentinel://host...`; the login and the
database are the master's. `master_name` names it, `sentinel_kwargs` says how the Sentinels
themselves are spoken to, `min_other_sentinels` how many others a Sentinel must know to be believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.redis_server.tls import USE_SSL, tls_of

_PORT = 26379
#: `sentinel_kwargs`, by redis-py's names; those of TLS are known to `tls.py`.
_KNOWN = ("username", "password", "socket_timeout", "socket_connect_timeout")


@dataclass(frozen=True, slots=True)
class Guard:
    """The Sentinels of one master. `spoken`: what a connection to one of them differs in."""

    master_name: str
    places: tuple[tuple[str, int], ...]
    spoken: dict[str, Any]
    is_tls: bool
    least_others: int

    @property
    def words(self) -> str:
        """The server in words, for messages."""
        return f"master {self.master_name!r} of Sentinel {self.shown}"

    @property
    def shown(self) -> str:
        """The Sentinels, as text."""
        return ", ".join(f"{host}:{port}" for host, port in self.places)


def guard_of(places: list[tuple[str, int | None]], given: Mapping[str, Any]) -> Guard:
    """Return whom to ask for which master. Raises: ImproperlyConfigured.

    `given` are the options of the URL and the transport.
    """
    name = given.get("master_name") or given.get("service_name")
    if not name:
        raise ImproperlyConfigured(
            "sentinel:// results need the master's name: set"
            " result_backend_transport_options = {'master_name': ...}"
        )
    own = given.get("sentinel_kwargs") or {}
    if not isinstance(own, Mapping):
        raise ImproperlyConfigured(f"sentinel_kwargs is a mapping, not {own!r}")
    secure = {key: value for key, value in own.items() if key.startswith("ssl")}
    unknown = sorted(set(own) - set(secure) - set(_KNOWN))
    if unknown:
        known = ", ".join((*_KNOWN, "ssl", "ssl_..."))
        raise ImproperlyConfigured(f"sentinel_kwargs: {unknown[0]!r} is not known: {known} are")
    is_secure = secure.pop(USE_SSL, bool(secure))
    tls = tls_of({USE_SSL: (secure or True) if is_secure else None}, is_secure_scheme=False)
    return Guard(
        master_name=str(name),
        places=tuple((host, port or _PORT) for host, port in places),
        spoken={
            "username": own.get("username"),
            "password": own.get("password"),
            "credentials": None,
            "db": 0,
            **{key: float(own[key]) for key in _KNOWN[2:] if own.get(key)},
            **(tls or {}),
        },
        is_tls=tls is not None,
        least_others=_count(given.get("min_other_sentinels") or 0),
    )


def _count(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"min_other_sentinels is a number, not {value!r}") from error
