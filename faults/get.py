"""T-GET: callers wait for results while the store restarts and forgets who listens.

Every wait ends in time, with the value where there is one. On RabbitMQ results are messages to the
caller (`rpc://`), whose connection is cut instead.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import redis

from faults.figures import beyond, quantile
from faults.ledger import WORK
from faults.places import Place
from faults.proxy import TcpProxy
from faults.scenario import Beside, Case, Report, Scenario
from faults.site import Site
from tests.servers.brokers_up import redis_daemon
from tqconsole.engine.exceptions import TimeoutError as GetTimeoutError

_WAITER_COUNTS = {"ci": 50, "night": 200, "release": 500}
_ROUND_COUNTS = {"ci": 1, "night": 3, "release": 50}
_TASK_S, _TIMEOUT_S = 4.0, 12.0
#: A call that nobody runs is waited for so long.
_HOPELESS_S, _HOPELESS_COUNT = 3.0, 5
#: Goals, in seconds: a wait ends so much after its time at most, and a result is seen so much after
#: both its task and the fault have ended: the worker's next try and the caller's next look.
_BEYOND_S, _SEEN_S = 1.0, 2.0
_BEGUN_S, _AWAY_S = 1.0, 1.5


@dataclass(slots=True)
class Wait:
    """One caller's. `ended` is "value", "timeout", or the name of an error."""

    task_id: str
    timeout_s: float
    took_s: float = 0.0
    ended: str = ""
    ended_mono: float = 0.0


def _run(case: Case) -> Report:
    waits: list[Wait] = []
    over_monos: list[float] = []
    with _opened(case) as (place, through, fault), Site(case, place) as site:
        site.client.conf.update(broker_url=through.broker_url, result_backend=through.backend_url)
        with site.worker("-P", "threads", "-c", "64"):
            site.wait_for_one()
            for _ in range(case.of(_ROUND_COUNTS)):
                waits += _one_round(site, fault, over_monos)
            if case.broker != "rabbitmq":
                # There a result is read by who waits, and by nobody else.
                site.drain()
        account = site.settle()
    answered = [it for it in waits if it.timeout_s == _TIMEOUT_S]
    hopeless = [it for it in waits if it.timeout_s == _HOPELESS_S]
    beyond_s = max(it.took_s - it.timeout_s for it in waits)
    seen_s = _seen_s(site, answered, over_monos)
    endings = {it.ended for it in answered} - {"value"}
    lost_count = sum(it.ended != "value" for it in answered)
    figures: dict[str, float | str] = {
        "waits": len(waits),
        "seen p50 s": quantile(seen_s, 0.5),
        "seen p99 s": quantile(seen_s, 0.99),
        "longest beyond its time s": beyond_s,
        "without a value": lost_count,
    }
    # A publish whose confirmation was cut off is sent once more.
    sent_twice = ["duplicated"] if case.broker == "rabbitmq" else []
    broken = account.not_zero("stuck", "lost", "without result", *sent_twice)
    broken += beyond({"longest beyond its time s": (beyond_s, _BEYOND_S)})
    if case.broker != "rabbitmq":
        # What was sent to a connection that was cut then is gone: `rpc://` says so.
        broken += beyond({"without a value": (lost_count, 0), "seen p99 s": (max(seen_s), _SEEN_S)})
    if endings - {"timeout"}:
        broken.append(f"waits ended with {', '.join(sorted(endings))}")
    if any(it.ended != "timeout" for it in hopeless):
        broken.append("a call that nobody ran was waited for, and did not end as a timeout")
    return Report(account, figures, broken)


def _one_round(site: Site, fault: Callable[[], None], over_monos: list[float]) -> list[Wait]:
    chance = site.case.chance()
    count = site.case.of(_WAITER_COUNTS)
    waits = [Wait("", _TIMEOUT_S) for _ in range(count)]
    waits += [Wait("", _HOPELESS_S) for _ in range(_HOPELESS_COUNT)]
    threads = [
        threading.Thread(target=_wait, args=(site, it, chance.uniform(0, _TASK_S))) for it in waits
    ]
    for thread in threads:
        thread.start()
    time.sleep(_BEGUN_S)
    fault()
    over_monos.append(time.monotonic())
    for thread in threads:
        thread.join()
    return waits


def _wait(site: Site, wait: Wait, duration_s: float) -> None:
    queue = "celery" if wait.timeout_s == _TIMEOUT_S else "nobody"
    result = site.client.send_task(WORK, (duration_s,), queue=queue)
    wait.task_id = result.id
    if queue == "celery":
        site.ledger.published([result.id])
    begun_mono = time.monotonic()
    try:
        result.get(timeout=wait.timeout_s)
        wait.ended = "value"
    except GetTimeoutError:
        wait.ended = "timeout"
    except Exception as error:  # noqa: BLE001 - told in the report, by its name
        wait.ended = type(error).__name__
    wait.ended_mono = time.monotonic()
    wait.took_s = wait.ended_mono - begun_mono


def _seen_s(site: Site, waits: list[Wait], over_monos: list[float]) -> list[float]:
    """Return how long after its task, and after a fault that lay between, each value was seen."""
    found = []
    for wait in waits:
        if wait.ended != "value" or not site.reading.ends[wait.task_id]:
            continue
        ready_mono = site.reading.ends[wait.task_id][0].at_mono
        since = [it for it in over_monos if it <= wait.ended_mono]
        found.append(wait.ended_mono - max([ready_mono, *since]))
    return found


def _cut(proxy: TcpProxy) -> None:
    proxy.cut()


@contextlib.contextmanager
def _opened(case: Case) -> Iterator[tuple[Place, Place, Callable[[], None]]]:
    """Open a place, the place as the callers see it, and a fault to happen to it."""
    place = case.places.empty(case.broker)
    if case.broker == "sqlite":
        yield place, place, lambda: None
    elif case.broker == "rabbitmq":
        rpc = Place(place.broker_url, "rpc://", server=place.server)
        with TcpProxy(urlsplit(place.broker_url).port or 0) as proxy:
            yield rpc, Place(proxy.url(place.broker_url), "rpc://"), lambda: _cut(proxy)
    else:
        options = ("--appendonly", "yes", "--appendfsync", "always")
        with redis_daemon(case.folder / "results", *options) as store:

            def restart() -> None:
                with redis.Redis(port=store.port) as link:
                    link.client_kill_filter(_type="pubsub")
                store.stop()
                time.sleep(_AWAY_S)
                store.start()

            beside = Place(place.broker_url, store.url, place.redis_port)
            yield beside, beside, restart


GET = Scenario(
    "T-GET",
    "callers wait while the result store restarts; on RabbitMQ, while their connection is cut",
    goal="every get() ends within its time and 1 s; a stored result is seen 2 s after the fault",
    fails_when="the first look that fails ends the wait",
    run=_run,
    beside=Beside.ITS_BROKERS,
)
