"""Another run: because the task asked for it, or because it raises what it is to be retried for.

The same call goes out again under its id, with one retry more (wire.md §1.4); the message leaves in
the trip that settles this run, so that there is one or the other, never both and never none.
"""

from __future__ import annotations

from tqconsole.engine.middleware.base import Middleware, Run, RunHub


class Retries(Middleware):
    """Turns errors into retries, and retries into messages."""

    def __init__(self, hub: RunHub) -> None:
        self._hub = hub

    def steer(self, run: Run, error: BaseException) -> BaseException:
        """Return the Retry that a task with `autoretry_for` makes of its error."""
        return run.task.autoretry(error) if run.task.autoretry_for else error

    def after_retry(self, run: Run) -> None:
        """Put the next attempt among what is to be published."""
        # Without a signature it was sent already: `retry(throw=False)`, or somebody's own Retry.
        if run.value.sig is not None:
            run.publications.append(self._hub.build_retry(run.request, run.value))
