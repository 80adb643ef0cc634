"""The text of `report`: what a maintainer asks for first."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

import tqconsole

#: Packages whose versions explain most reports.
_PACKAGES = ("kombu", "redis", "msgspec", "textual")


def bug_report(app: Any) -> str:
    """Return versions, addresses and changed settings as text; secrets are masked."""
    versions = " ".join(f"{name}:{_version(name)}" for name in _PACKAGES)
    resolved = app.broker_resolved
    lines = [
        "",
        f"software -> tqconsole:{tqconsole.__version__} {versions}",
        f"            python:{platform.python_version()} ({platform.python_implementation()})",
        f"platform -> system:{platform.system()} arch:{platform.machine()} "
        f"kernel:{platform.release()} encoding:{sys.getfilesystemencoding()}",
        f"app      -> {app.main or 'default'}",
        f"settings -> transport:{app.broker.transport} ({app.broker.url}, {resolved.reason}) "
        f"results:{app.backend.url}",
        "",
        app.conf.humanize(),
        "",
    ]
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
