"""Checks a broker's URL that somebody typed."""

from __future__ import annotations

from tqconsole.engine.brokers import BROKERS, open_broker
from tqconsole.engine.exceptions import EngineError


def wrong_url(url: str) -> str:
    """Return why a URL is no broker's, "" when it may be one. Nothing is connected."""
    try:
        open_broker(url).close()
    except EngineError as error:
        return str(error)
    return ""


def url_forms() -> str:
    """Return how a URL of each kind of broker that we speak begins."""
    forms = {"sqlite": "sqlite:/path/queue.db", "redis": "redis://host/0", "amqp": "amqp://host//"}
    return ", ".join(forms[scheme] for scheme in BROKERS if scheme in forms)
