"""What the worker orders as jobs of the pool, which knows no task: only a payload and limits."""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.pools.base import Job, Pool
from tqconsole.engine.worker.payload import RunPayload, Terms, pack
from tqconsole.engine.worker.values import Order


class Jobs:
    """Makes jobs, for a pool that runs them in this process (`shares_memory`) or in others."""

    def __init__(self, hostname: str, pool: Pool) -> None:
        self._hostname = hostname
        self._pool = pool

    def of(self, orders: Sequence[Order], *, is_told: bool) -> list[Job]:
        """Return the jobs of orders. `is_told`: somebody wants to read what they return."""
        hostname, shares_memory = self._hostname, self._pool.shares_memory
        jobs: list[Job] = []
        terms: Terms = ()
        for order in orders:
            entry, soft_s, hard_s = order.entry, order.soft_limit_s, order.hard_limit_s
            delivery = entry.delivery
            own_terms = (
                hostname,
                delivery.queue,
                delivery.exchange,
                delivery.routing_key,
                entry.header.priority,
                delivery.is_redelivered,
                soft_s,
                hard_s,
                delivery.deaths,
                is_told,
            )
            if shares_memory:
                payload = RunPayload(delivery.message, *own_terms)
                jobs.append(Job(entry.job_id, payload, soft_s, hard_s))
                continue
            if own_terms != terms:
                terms = own_terms
            # One tuple for runs that are alike: the pipe takes it once for all of a batch.
            jobs.append(Job(entry.job_id, pack(delivery.message, terms), soft_s, hard_s))
        return jobs
