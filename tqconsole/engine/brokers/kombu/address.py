"""Where one of kombu's brokers is and how kombu is told: a URL and transport options in one value.

The URL is kombu's. For `filesystem:///abs/folder` the folders that kombu wants as options are made
below that one; options that are given win, so Celery's way of writing it stays valid.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tqconsole.engine.alternates import alternates
from tqconsole.engine.brokers.kombu.facts import FACTS, Facts
from tqconsole.engine.exceptions import ImproperlyConfigured

#: Seconds that connecting may take where the transport can be told.
CONNECT_TIMEOUT_S = 5.0
_FOLDERS = {
    "data_folder_in": "data",
    "data_folder_out": "data",
    "processed_folder": "processed",
    "control_folder": "control",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A broker. `kombu_url` has the password, `url` has not."""

    scheme: str
    facts: Facts
    url: str
    kombu_url: str
    place: str
    options: dict[str, Any]


def locate(url: str, options: Mapping[str, Any] | None = None) -> Address:
    """Return the address behind a URL. Raises: ImproperlyConfigured."""
    scheme = url.partition(":")[0].partition("+")[0].lower()
    facts = FACTS[scheme]
    given = {"polling_interval": facts.poll_s, **facts.options, **(options or {})}
    shown = masked(url)
    if scheme == "filesystem":
        folders = _folders(url, given)
        place = f"filesystem:{folders['data_folder_in']}"
        return Address(scheme, facts, shown, "filesystem://", place, {**given, **folders})
    # kombu's aliases are in lower case; what follows a "+" is another library's.
    rest = url[len(scheme) :]
    kombu_url = scheme + (rest if "://" in rest else rest.replace(":", "://", 1))
    if scheme.startswith("sqla"):
        given = _without_polling(given)
    return Address(scheme, facts, shown, kombu_url, shown.partition("?")[0], given)


def masked(url: str) -> str:
    """Return the URL with its password as `**`."""
    if len(alternates(url)) > 1:
        return ";".join(map(masked, alternates(url)))
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"the broker's URL cannot be read: {error}") from error
    if parts.password is None:
        return url
    login, _, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login.partition(':')[0]}:**@{place}").geturl()


def _folders(url: str, given: Mapping[str, Any]) -> dict[str, str]:
    parts = urlsplit(url)
    wanted = {**given, **dict(parse_qsl(parts.query))}
    named = {name: str(wanted[name]) for name in _FOLDERS if wanted.get(name)}
    if parts.netloc:
        raise ImproperlyConfigured(
            f"{url}: the folder's path is absolute, with three slashes: filesystem:///abs/folder"
        )
    root = unquote(parts.path)
    if root.strip("/"):
        # Two slashes more, as people write them for SQLite, mean the same.
        base = Path("/") / root.lstrip("/")
        named = {**{name: str(base / folder) for name, folder in _FOLDERS.items()}, **named}
    if not ("data_folder_in" in named and "data_folder_out" in named):
        raise ImproperlyConfigured(
            "filesystem:// needs a folder: filesystem:///abs/folder, or data_folder_in and"
            " data_folder_out in broker_transport_options"
        )
    beside = Path(named["data_folder_in"]).parent
    named.setdefault("control_folder", str(given.get("control_folder") or "control"))
    named.setdefault("processed_folder", str(beside / "processed"))
    return {name: os.path.abspath(path) for name, path in named.items()}  # noqa: PTH100 - no links followed: Celery's are not either


def _without_polling(given: dict[str, Any]) -> dict[str, Any]:
    """Every option but kombu's own goes to SQLAlchemy's engine, which knows no such thing."""
    return {name: value for name, value in given.items() if name != "polling_interval"}
