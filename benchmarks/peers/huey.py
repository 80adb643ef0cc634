"""huey on Redis and on SQLite. It takes tasks off before they run: a crash loses them."""

from __future__ import annotations

from typing import Any

from huey import RedisHuey, SqliteHuey

from benchmarks.counting import noop as run_noop
from benchmarks.peers.base import FETCH_COUNT, RESULT_S, Peer, Setup

setup = Setup()
if setup.broker_url.startswith("redis"):
    huey: Any = RedisHuey(
        "bench", results=setup.are_results_on, url=setup.broker_url, notify_result=True
    )
else:
    # `notify_result` is for Redis and Postgres; a waiting caller polls here.
    huey = SqliteHuey(
        "bench", results=setup.are_results_on, filename=setup.broker_url.removeprefix("sqlite://")
    )
noop: Any = huey.task()(run_noop)


class HueyPeer(Peer):
    """huey's public calls. It has none for many."""

    def __init__(self) -> None:
        self._results: list[Any] = []

    def fill(self, count: int) -> None:
        self._results.extend(noop(number) for number in range(count))

    def send(self, count: int) -> None:
        for number in range(count):
            noop(number)

    def trip(self) -> None:
        # The shortest poll where it has to poll (SQLite); on Redis it is told.
        noop(1).get(blocking=True, timeout=RESULT_S, max_delay=0.001)

    def stored_count(self) -> int:
        return int(huey.result_count())

    def fetch(self) -> int:
        return sum(result.get() is not None for result in self._results[:FETCH_COUNT])

    def left_count(self) -> int:
        return int(huey.pending_count())


def make_peer() -> Peer:
    """Return the peer, for `benchmarks.drive`."""
    return HueyPeer()
