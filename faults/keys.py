"""T-KEYS: what remote control and results leave on the server, also when who asked is killed.

On Redis every key that comes and goes must have a time to live from its birth; on both servers
nothing is left but what was there before.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import redis

from faults.figures import beyond
from faults.scenario import Case, Report, Scenario
from faults.site import Site
from tests.servers.brokers_up import Server, rabbitmqctl

_ASKED_COUNTS = {"ci": 100, "night": 2000, "release": 10_000}
_KILLED_COUNTS = {"ci": 6, "night": 50, "release": 200}
#: Goal: after so many seconds nothing is left.
_GONE_S = 60.0
_RESULTS = "celery-task-meta-"
_PATIENCE_S = 20.0


def _run(case: Case) -> Report:
    chance = case.chance()
    place = case.places.empty(case.broker)
    looks: dict[str, set[str]] = {}
    with Site(case, place) as site:
        names = _names_of(site)
        with site.worker("-c", "2"):
            site.wait_for_one()
            looks["before"] = names()
            for _ in range(case.of(_ASKED_COUNTS)):
                site.client.control.ping(timeout=_PATIENCE_S, limit=1)
            for _ in range(case.of(_KILLED_COUNTS)):
                with site.another_client("ask") as client:
                    _await_change(site, names)
                    time.sleep(chance.uniform(0.0, 0.1))
                    client.send_signal(signal.SIGKILL)
            site.publish(case.of(_ASKED_COUNTS))
            site.drain()
            ended_mono = time.monotonic()
            lasting = _without_end(site)
            site.client.close()
            site.wait(lambda: not (names() - looks["before"]), _GONE_S)
            gone_s = time.monotonic() - ended_mono
            looks["after"] = names()
        account = site.settle()
    left = looks["after"] - looks["before"]
    figures: dict[str, float | str] = {
        "asked": case.of(_ASKED_COUNTS),
        "clients killed": case.of(_KILLED_COUNTS),
        "left": len(left),
        "gone after s": gone_s,
        "without a time to live": len(lasting - looks["before"]),
    }
    broken = account.not_zero()
    broken += beyond({"left": (len(left), 0)})
    if left | (lasting - looks["before"]):
        broken.append(f"left: {sorted(left)[:5]}; without end: {sorted(lasting)[:5]}")
    return Report(account, figures, broken)


def _await_change(site: Site, names: Callable[[], set[str]]) -> None:
    """Wait until a client has begun to ask: something of its own is on the server."""
    known = names()
    site.wait(lambda: names() != known, _PATIENCE_S)


def _names_of(site: Site) -> Callable[[], set[str]]:
    """Return a look at what is on the server besides results, which have their own time."""
    port = site.place.redis_port
    if port:
        return lambda: {it for it in _redis_names(port) if not it.startswith(_RESULTS)}
    return lambda: _queue_names(site.place.server, site.place.broker_url.rpartition("/")[2])


def _without_end(site: Site) -> set[str]:
    """Return the keys that nothing will end."""
    if not site.place.redis_port:
        return set()
    with redis.Redis(port=site.place.redis_port) as link:
        return {key.decode() for key in link.scan_iter(count=1000) if link.ttl(key) == -1}


def _redis_names(port: int) -> set[str]:
    """Return the keys, and the members of the binding sets, which grow in silence."""
    with redis.Redis(port=port) as link:
        keys = {key.decode() for key in link.scan_iter(count=1000)}
        members = {
            f"{key}: {member.decode()}"
            for key in keys
            if key.startswith("_kombu.binding.")
            for member in link.smembers(key)
        }
    return keys | members


def _queue_names(server: Server | None, vhost: str) -> set[str]:
    if server is None:
        raise ValueError("a place on RabbitMQ knows its server")
    return set(rabbitmqctl(server, "list_queues", "-p", vhost or "/", "name").split())


KEYS = Scenario(
    "T-KEYS",
    "remote control is asked, by clients that are killed before the answer too",
    goal="no key, queue or binding left after 60 s; each that comes and goes has an end from birth",
    fails_when="a reply's key is made without a time to live",
    run=_run,
    brokers=("redis", "rabbitmq"),
)
