"""Several servers in one URL, as Celery writes them: `amqp://one//;amqp://two//`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from tqconsole.engine.exceptions import OperationalError

AnyAddress = TypeVar("AnyAddress", bound=Any)
Connected = TypeVar("Connected")

#: A ";" of a password is none that parts two URLs.
_BETWEEN = re.compile(r";(?=[A-Za-z][A-Za-z0-9+.-]*://)")


def alternates(url: str) -> list[str]:
    """Return the URLs in one; one URL is a list of one."""
    return [part for part in _BETWEEN.split(url) if part] or [url]


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
