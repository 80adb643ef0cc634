"""Checks a broker's URL that somebody typed."""

from __future__ import annotations

from tqconsole.engine.brokers import open_broker
from tqconsole.engine.exceptions import EngineError


def wrong_url(url: str) -> str:
    """Return why a URL is no broker's, "" when it may be one. Nothing is connected."""
    try:
        open_broker(url).close()
    except EngineError as error:
        return str(error)
    return ""
