"""Which middleware a worker's runs go through, and in which order.

From the outermost to the innermost: `before_*` go down the list, `after_*` come back up. So after a
success the links are built first (their results are among the record's children), then the record,
then the handlers are called, and the signals are sent last.
"""

from __future__ import annotations

from tqconsole.engine.middleware.base import RunHub
from tqconsole.engine.middleware.chain import Chain
from tqconsole.engine.middleware.handlers import Handlers
from tqconsole.engine.middleware.limits import TimeLimits
from tqconsole.engine.middleware.links import Links
from tqconsole.engine.middleware.results import Duplicates, Results, Starts
from tqconsole.engine.middleware.retries import Retries
from tqconsole.engine.middleware.signalling import Signalling
from tqconsole.engine.middleware.unique import Unique


def default_chain(hub: RunHub, *, ends_coroutines: bool = True) -> Chain:
    """Return the chain of an app's runs."""
    results = Results(hub)
    return Chain(
        [
            Unique(),
            Signalling(),
            Duplicates(hub),
            Starts(results),
            Handlers(),
            results,
            Links(hub),
            Retries(hub),
            TimeLimits(),
        ],
        ends_coroutines=ends_coroutines,
    )
