"""T-FULL: the broker takes no more for a while: Redis at its `maxmemory`, RabbitMQ under an alarm,
SQLite on a full disk.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from faults.figures import beyond, p95
from faults.places import Place, sqlite_place
from faults.scenario import Case, Report, Scenario
from faults.site import Site
from faults.stream import Stream
from tests.servers.brokers_up import Server, rabbitmq_up, rabbitmqctl, redis_up

_CALLS_PER_S = 100
_FULL_S = {"ci": 3.0, "night": 5.0, "release": 5.0}
_ROUND_COUNTS = {"ci": 1, "night": 2, "release": 20}
#: Goals, in seconds: work after there is room again, and the longest call.
_RESUMED_S, _CALL_S = 2.0, 10.0
_PATIENCE_S = 30.0
_DISK_BYTES = 16 * 2**20

#: Fill it, and make room again.
Fault = tuple[Callable[[], None], Callable[[], None]]


def _run(case: Case) -> Report:
    resumed_s: list[float] = []
    with _opened(case) as (place, (fill, relieve)), Site(case, place) as site:
        with site.worker("-c", "2") as process, Stream(site, per_s=_CALLS_PER_S) as stream:
            site.await_start_after(time.monotonic(), _PATIENCE_S)
            for _ in range(case.of(_ROUND_COUNTS)):
                fill()
                time.sleep(case.of(_FULL_S))
                relieve()
                relieved_mono = time.monotonic()
                resumed_mono = site.await_new_work(relieved_mono, _PATIENCE_S)
                resumed_s.append((resumed_mono or time.monotonic()) - relieved_mono)
            exit_code = process.poll()
        with site.worker("-c", "2"):
            site.drain()
        account = site.settle()
    figures = {
        "times full": len(resumed_s),
        "resumed p95 s": p95(resumed_s),
        "calls refused": stream.failed_count,
        "longest call s": stream.longest_s,
    }
    broken = account.not_zero("duplicated")
    broken += beyond(
        {
            "resumed p95 s": (p95(resumed_s), _RESUMED_S),
            "longest call s": (stream.longest_s, _CALL_S),
        }
    )
    if exit_code is not None:
        broken.append(f"the worker exited with {exit_code}")
    return Report(account, figures, broken)


@contextlib.contextmanager
def _opened(case: Case) -> Iterator[tuple[Place, Fault]]:
    with contextlib.ExitStack() as stack:
        if case.broker == "sqlite":
            disk = stack.enter_context(_small_disk(case.folder / "disk"))
            yield sqlite_place(disk), _full_disk(disk)
            return
        store = stack.enter_context(redis_up(case.folder / "redis"))
        if case.broker == "redis":
            yield Place(store.url, store.url, store.port), _full_redis(store.port)
            return
        server = stack.enter_context(rabbitmq_up(case.folder / "rabbitmq"))
        fill = functools.partial(_set_watermark, server, "0")
        relieve = functools.partial(_set_watermark, server, "0.9")
        yield Place(server.url, store.url), (fill, relieve)


def _set_watermark(server: Server, share: str) -> None:
    rabbitmqctl(server, "set_vm_memory_high_watermark", share)


def _full_redis(port: int) -> Fault:
    def limit(text: str) -> None:
        with redis.Redis(port=port) as link:
            link.config_set("maxmemory", text)

    return functools.partial(limit, "1"), functools.partial(limit, "0")


def _full_disk(disk: Path) -> Fault:
    ballast = disk / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    return fill, ballast.unlink


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system there. Raises: PermissionError for who may not mount."""
    if os.geteuid():
        raise PermissionError("a full disk needs a small one to be mounted: run it as root")
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs"]
    subprocess.run(["mount", *options, str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


FULL = Scenario(
    "T-FULL",
    "the broker takes no writes for 5 s: maxmemory, a memory alarm, a full disk",
    goal="the worker lives, nothing lost; work within 2 s of room; a call ends within 10 s",
    fails_when="the results of an exchange that failed are dropped",
    run=_run,
)
