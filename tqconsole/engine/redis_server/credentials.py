"""Names and passwords that somebody else knows: redis-py's credential providers.

A provider is asked at every new connection, so that a password that changes (a cloud's token) is
always the newest. redis-py itself is not needed for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured

#: Returns (password,) or (user, password).
Credentials = Callable[[], tuple[str, ...]]


def credentials_of(provider: Any) -> Credentials | None:
    """Return how the login is asked for: of an object with `get_credentials()`, or of a class named
    as "module.Class", which is called without arguments. None: nobody knows it but the URL.

    Raises: ImproperlyConfigured.
    """
    if not provider:
        return None
    found = _named(provider) if isinstance(provider, str) else provider
    get: Credentials | None = getattr(found, "get_credentials", None)
    if not callable(get):
        raise ImproperlyConfigured(
            f"credential_provider {provider!r} has no get_credentials(): name a class such as"
            " redis.UsernamePasswordCredentialProvider's kind, or give an object of one"
        )
    return get


def login_of(credentials: Credentials) -> tuple[str, str]:
    """Return (user, password), "default" where the provider names no user.

    Raises: ConnectionError when the provider fails: it may know better at the next try.
    """
    try:
        *user, password = credentials()
    except Exception as error:
        # User code: whatever it raises, there is no connection now, and the next try asks again.
        raise ConnectionError(f"the credential provider failed: {error!r}") from error
    return (user[0] if user and user[0] else "default"), password


def _named(name: str) -> Any:
    module_name, _, class_name = name.replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), class_name)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ImproperlyConfigured(
            f"credential_provider {name!r} is no class that can be made: {error}"
        ) from error
