"""The machine, the versions and the date: without them a figure means nothing."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import tqconsole

_PACKAGES = (
    *("celery", "kombu", "amqp", "redis", "hiredis", "msgspec"),
    *("dramatiq", "pika", "huey", "rq"),
)
_RABBITMQ_VERSION = re.compile(r"rabbitmq_server-([\d.]+)")


def machine_facts() -> dict[str, str]:
    """Return what it is measured on and with, name -> value."""
    return {
        "Date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Commit": _commit(),
        "Machine": f"{os.cpu_count()} cores ({_cpu_model()}), {_memory_gib():.0f} GiB",
        "Load before": f"{os.getloadavg()[0]:.1f} (1 is one busy core)",
        "System": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Servers": f"{_redis_version()}, {_rabbitmq_version()}, SQLite {sqlite3.sqlite_version}",
        "Packages": ", ".join([f"tqconsole {tqconsole.__version__}", *_package_versions()]),
    }


def _commit() -> str:
    if not shutil.which("git"):
        return "unknown"
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip() or "unknown"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _redis_version() -> str:
    program = shutil.which("redis-server")
    if program is None:
        return "no redis-server"
    told = subprocess.run([program, "--version"], capture_output=True, text=True)
    found = re.search(r"v=([\d.]+)", told.stdout)
    return f"redis-server {found.group(1) if found else 'of unknown version'}"


def _rabbitmq_version() -> str:
    for folder in Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"):
        if found := _RABBITMQ_VERSION.search(folder.name):
            return f"RabbitMQ {found.group(1)}"
    return "RabbitMQ of unknown version" if shutil.which("rabbitmq-server") else "no RabbitMQ"


def _package_versions() -> list[str]:
    versions = []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return versions
