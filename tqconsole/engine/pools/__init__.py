"""The pools by name. A pool's module is imported when it is chosen, not before."""

from __future__ import annotations

import difflib
import importlib
import os
from typing import cast

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.pools.base import Pool

#: name -> "module:Class". Celery's names; `processes` is its alias of prefork.
POOLS: dict[str, str] = {
    "asyncio": "tqconsole.engine.pools.coroutines:AsyncioPool",
    "eventlet": "tqconsole.engine.pools.green:EventletPool",
    "gevent": "tqconsole.engine.pools.green:GeventPool",
    "prefork": "tqconsole.engine.pools.prefork:PreforkPool",
    "processes": "tqconsole.engine.pools.prefork:PreforkPool",
    "threads": "tqconsole.engine.pools.threads:ThreadsPool",
    "solo": "tqconsole.engine.pools.solo:SoloPool",
}

#: Where Celery looks for the class that `-P custom` means.
_CUSTOM_VARIABLE = "CELERY_CUSTOM_WORKER_POOL"


def find_pool(name: str) -> type[Pool]:
    """Return the pool class called `name`: a key of `POOLS`, "custom", or "module:Class".

    Raises: ImproperlyConfigured when there is none.
    """
    path = POOLS.get(name) or (name if ":" in name else "")
    if name == "custom":
        path = os.environ.get(_CUSTOM_VARIABLE, "")
        if not path:
            raise ImproperlyConfigured(f"-P custom needs {_CUSTOM_VARIABLE}=module:Class")
    if not path:
        near = difflib.get_close_matches(name, POOLS, 1)
        hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(sorted(POOLS))}."
        raise ImproperlyConfigured(f"No such pool: {name}.{hint}")
    module_name, _, class_name = path.partition(":")
    try:
        return cast("type[Pool]", getattr(importlib.import_module(module_name), class_name))
    except (ImportError, AttributeError) as error:
        raise ImproperlyConfigured(f"Cannot load the pool {path}: {error}") from error
