"""The program that a child of prefork becomes where children are spawned: see `spawning.py`.

It imports the app, sets up logging as the worker has, and lives as every child does.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from tqconsole.engine.app.registry import load_object
from tqconsole.engine.pools.base import CHILD_VARIABLE
from tqconsole.engine.pools.child import Child, ChildPlan
from tqconsole.engine.pools.frame import Ends
from tqconsole.engine.pools.process import set_process_title
from tqconsole.engine.pools.template import finish_as
from tqconsole.engine.worker.options import WorkerOptions, overrides
from tqconsole.engine.worker.program import child_options, logging_set_up
from tqconsole.engine.worker.run import make_runner


def live(plan: Mapping[str, Any]) -> NoReturn:
    """Live as a child of the pool; it ends the process."""
    number, *ends = map(int, os.environ.pop(CHILD_VARIABLE).split(","))
    finish_as(lambda: _live(plan, number, Ends(*ends)))


def _live(plan: Mapping[str, Any], number: int, ends: Ends) -> int:
    name = f"SpawnPoolWorker-{number}"
    multiprocessing.current_process().name = name
    set_process_title(f"[celeryd: {name}]", f"tq-child-{number}")
    for end in ends:
        # What the tasks start is not to inherit them.
        os.set_inheritable(end, False)  # noqa: FBT003 - the library's signature
    options = WorkerOptions(**plan["options"])
    hostname = str(plan["hostname"])
    app = load_object(plan["app"])
    app.conf.override({name: it for name, it in plan["settings"].items() if it is not None})
    app.conf.override(overrides(options))
    if options.include:
        app.conf.include = (*app.conf.include, *options.include)
    app.import_modules()
    app.finalize()
    with logging_set_up(app, options, hostname):
        runner = make_runner(app, hostname)
        child_plan = ChildPlan(runner, child_options(app, runner, options, hostname))
        return Child(child_plan, ends).live()
