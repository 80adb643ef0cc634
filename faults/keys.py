"""T-KEYS: what remote control and results leave on the server, also when who asked is killed.

On Redis every key that comes and goes must have a time to live from its birth; on both servers
nothing is left but what was there before.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import redis

from faults.scenario import Beside, Case, Report, Scenario
from faults.site import Site
from tests.servers.brokers_up import Server, rabbitmqctl
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.protocol.control import REPLIES
from tqconsole.engine.redis_server.address import locate

_ASKED_COUNTS = {"ci": 100, "night": 500, "release": 10_000}
#: RabbitMQ is asked by its command line, a second and a process each time.
_KILLED_COUNTS = {
    "redis": {"ci": 6, "night": 20, "release": 200},
    "rabbitmq": {"ci": 1, "night": 4, "release": 20},
}
#: What a killed client leaves behind may live for five minutes; so long it is waited for.
_GONE_S = {"ci": 1.0, "night": 310.0, "release": 310.0}
_RESULTS = "celery-task-meta-"
#: Nothing that comes and goes lives longer, in seconds (a clock may be a little off).
_LONGEST_S = 301.0
_PATIENCE_S, _ANSWERED_S = 20.0, 0.3


def _run(case: Case) -> Report:
    chance = case.chance()
    killed_count = case.of(_KILLED_COUNTS[case.broker])
    place = case.places.empty(case.broker)
    looks: dict[str, set[str]] = {}
    with Site(case, place) as site:
        names = _names_of(site)
        with site.worker("-c", "2"):
            site.wait_for_one()
            looks["before"] = names()
            for _ in range(case.of(_ASKED_COUNTS)):
                site.client.control.ping(timeout=_PATIENCE_S, limit=1)
            for _ in range(killed_count):
                with site.another_client("ask") as client:
                    _await_change(site, names, _PATIENCE_S)
                    time.sleep(chance.uniform(0.0, 0.01))
                    # It stands still first, so that the answer to it arrives and is not read.
                    client.send_signal(signal.SIGSTOP)
                    _await_change(site, names, _ANSWERED_S)
                    client.send_signal(signal.SIGKILL)
            site.publish(case.of(_ASKED_COUNTS))
            site.drain()
            ended_mono = time.monotonic()
            lasting = _without_end(site) - looks["before"]
            site.client.close()
            # A binding whose time is over goes when the next one is made.
            site.wait(lambda: not _left(site, names, looks["before"]), case.of(_GONE_S))
            gone_s = time.monotonic() - ended_mono
            looks["after"] = names()
            passing = _with_end(site)
        account = site.settle()
    left = looks["after"] - looks["before"]
    if case.depth == "ci":
        left -= passing
    figures: dict[str, float | str] = {
        "asked": case.of(_ASKED_COUNTS),
        "clients killed": killed_count,
        "left": len(left),
        "gone after s": gone_s,
        "without an end": len(lasting),
    }
    broken = account.not_zero()
    if left | lasting:
        broken.append(f"left: {sorted(left)[:5]}; without an end: {sorted(lasting)[:5]}")
    return Report(account, figures, broken)


def _await_change(site: Site, names: Callable[[], set[str]], limit_s: float) -> None:
    """Wait until something is on the server that was not: a client's queue, an answer to it."""
    known = names()
    site.wait(lambda: names() != known, limit_s)


def _names_of(site: Site) -> Callable[[], set[str]]:
    """Return a look at what is on the server besides results, which have their own time."""
    port = site.place.redis_port
    if port:
        return lambda: {it for it in _redis_names(port) if not it.startswith(_RESULTS)}
    return lambda: _queue_names(site.place.server, site.place.broker_url.rpartition("/")[2])


def _left(site: Site, names: Callable[[], set[str]], before: set[str]) -> set[str]:
    site.client.control.ping(timeout=_PATIENCE_S, limit=1)
    site.client.close()
    return names() - before


def _without_end(site: Site) -> set[str]:
    """Return the names that nothing will end: keys without a time, members without a deadline."""
    port = site.place.redis_port
    return _redis_names(port) - _with_end(site) if port else set()


def _with_end(site: Site) -> set[str]:
    """Return the keys with a time to live of five minutes at most, and the bindings likewise."""
    if not site.place.redis_port:
        return set()
    keys = Keys(locate(site.place.broker_url))
    with redis.Redis(port=site.place.redis_port) as link:
        passing = {key.decode() for key in link.scan_iter(count=1000) if link.ttl(key) != -1}
        until = time.time() + _LONGEST_S
        members = link.zrangebyscore(keys.reply_bindings, "-inf", until)
    binding = keys.binding(REPLIES.name)
    return passing | {f"{binding}: {member.decode()}" for member in members}


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
    goal="each key, queue and binding that comes and goes has an end, five minutes at most, from"
    " its birth; then nothing is left",
    fails_when="replies and their bindings have no time to live (Redis)",
    run=_run,
    brokers=("redis", "rabbitmq"),
    beside=Beside.ANYTHING,
)
