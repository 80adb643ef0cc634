"""What the worker orders as jobs of the pool, which knows no task: only a payload and limits."""

from __future__ import annotations

from tqconsole.engine.pools.base import Job, Pool
from tqconsole.engine.worker.payload import RunPayload, Terms, pack
from tqconsole.engine.worker.values import Order


class Jobs:
    """Makes jobs, for a pool that runs them in this process (`shares_memory`) or in others."""

    def __init__(self, hostname: str, pool: Pool) -> None:
        self._hostname = hostname
        self._pool = pool
        self._terms: Terms = ()

    def of(self, order: Order, is_told: bool) -> Job:  # noqa: FBT001 - one call, in a loop
        """Return the job of an order. `is_told`: somebody wants to read what it returns."""
        entry = order.entry
        delivery = entry.delivery
        terms = (
            self._hostname,
            delivery.queue,
            delivery.exchange,
            delivery.routing_key,
            entry.header.priority,
            delivery.is_redelivered,
            order.soft_limit_s,
            order.hard_limit_s,
            delivery.deaths,
            is_told,
        )
        if self._pool.shares_memory:
            payload = RunPayload(delivery.message, *terms)
            return Job(entry.job_id, payload, order.soft_limit_s, order.hard_limit_s)
        if terms != self._terms:
            self._terms = terms
        # One tuple for runs that are alike: the pipe takes it once for all of a batch.
        packed = pack(delivery.message, self._terms)
        return Job(entry.job_id, packed, order.soft_limit_s, order.hard_limit_s)
