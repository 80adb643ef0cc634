"""Several servers in one URL, as Celery writes them: `amqp://one//;amqp://two//`."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from tqconsole.engine.exceptions import ImproperlyConfigured, OperationalError

AnyAddress = TypeVar("AnyAddress", bound=Any)
Connected = TypeVar("Connected")

#: A ";" of a password is none that parts two URLs.
_BETWEEN = re.compile(r";(?=[A-Za-z][A-Za-z0-9+.-]*://)")

#: Strategies cycle for ever: after so many rounds none is expected to name another server.
_MOST_TURNS = 10


def alternates(url: str) -> list[str]:
    """Return the URLs in one; one URL is a list of one."""
    return [part for part in _BETWEEN.split(url) if part] or [url]


def arranged(url: str, strategy: object) -> str:
    """Return the servers of a URL in the order in which `broker_failover_strategy` tries them.

    `strategy`: None or "round-robin", "shuffle", or as kombu has it a callable that takes the list
    of URLs and returns an iterator over them, which may be endless.
    Raises: ImproperlyConfigured.
    """
    urls = alternates(url)
    if len(urls) == 1 or strategy in (None, "", "round-robin"):
        return url
    if strategy == "shuffle":
        # Not for secrets: it spreads clients over servers.
        return ";".join(random.sample(urls, len(urls)))
    if not callable(strategy):
        raise ImproperlyConfigured(
            f"broker_failover_strategy is round-robin, shuffle or a callable, not {strategy!r}"
        )
    return ";".join(_chosen(urls, strategy))


def _chosen(urls: list[str], strategy: Callable[[list[str]], Iterable[str]]) -> Iterable[str]:
    """Return each server once, as a strategy first names them; one never named is not tried."""
    chosen = dict.fromkeys(islice(strategy(list(urls)), _MOST_TURNS * len(urls)))
    if not chosen or not set(chosen) <= set(urls):
        raise ImproperlyConfigured(
            "broker_failover_strategy has to return an iterator over the URLs that it is given"
        )
    return chosen


def first_answering(
    address: AnyAddress, connect: Callable[[AnyAddress], Connected]
) -> tuple[AnyAddress, Connected]:
    """Connect to an address, or in turn to its `others`; return which it was, knowing the rest.

    Raises: OperationalError telling of each when none answers; what says that a setting is wrong
    at once.
    """
    ring = [replace(it, others=()) for it in (address, *address.others)]
    failures: list[str] = []
    for at, one in enumerate(ring):
        try:
            connected = connect(one)
        except OperationalError as error:
            failures.append(str(error))
            if one is ring[-1]:
                raise type(error)("; ".join(failures)) from (error.__cause__ or error)
        else:
            return replace(one, others=tuple(ring[at + 1 :] + ring[:at])), connected
    raise OperationalError("no server is named")
