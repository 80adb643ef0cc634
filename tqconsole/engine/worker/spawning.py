"""Children of prefork that are fresh interpreters (`worker_pool_start_method = "spawn"`).

The template forks a child as ever, and the child at once becomes another program: one that imports
the app anew, so that nothing of what the worker's import has opened or begun (a device, a pool of
connections, threads of a library) is in it. That takes as long as the import does.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.pools.base import NewProgram
from tqconsole.engine.worker.options import WorkerOptions

FORK, SPAWN = "fork", "spawn"
#: Where the new program finds what it is to do.
PLAN_VARIABLE = "TQCONSOLE_SPAWNED"
#: What the command line may have said of the app's addresses.
_ADDRESSES = ("broker_url", "result_backend")
#: The path first: the project's modules have to be found as the worker finds them.
_PROGRAM = (
    f"import json, os, sys; plan = json.loads(os.environ.pop({PLAN_VARIABLE!r}));"
    " sys.path[:] = plan['path'];"
    " from tqconsole.engine.worker.spawned import live; live(plan)"
)


def new_program(app: Any, options: WorkerOptions, hostname: str) -> NewProgram | None:
    """Return what a child is to become; None where it stays a fork.

    Raises: ImproperlyConfigured for another word, or an app that no module has.
    """
    method = app.conf.worker_pool_start_method
    if method == FORK:
        return None
    if method != SPAWN:
        raise ImproperlyConfigured(
            f"worker_pool_start_method (--pool-start-method) is fork or spawn, not {method!r}"
        )
    plan = {
        "app": place_of(app),
        "hostname": hostname,
        "options": msgspec.to_builtins(msgspec.structs.replace(options, user_options={})),
        "settings": {name: app.conf.overridden(name) for name in _ADDRESSES},
        "path": sys.path,
    }
    return NewProgram((sys.executable, "-c", _PROGRAM), {PLAN_VARIABLE: json.dumps(plan)})


def place_of(app: Any) -> str:
    """Return "module:name" of an app. Raises: ImproperlyConfigured."""
    for module_name, module in list(sys.modules.items()):
        if module_name == "__main__" or module_name.startswith("tqconsole."):
            continue
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is app:
                return f"{module_name}:{name}"
    raise ImproperlyConfigured(
        "worker_pool_start_method = 'spawn' needs an app that can be imported: put it into a module"
        " and name that with -A"
    )
