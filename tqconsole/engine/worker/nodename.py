"""Node names, and the marks in them and in file names (features.md 7.10, 7.15)."""

from __future__ import annotations

import re

#: The name of a worker that was given none.
DEFAULT_NAME = "celery"
_MARK = re.compile(r"%(.)")


def node_name(template: str | None, host: str) -> str:
    """Return `name@host` from `-n`: a bare name gets the host, nothing gives `celery@host`.

    Marks: %h the host, %n its first part, %d its domain, %i and %I as for a main process, %% a %.
    """
    expanded = _expand(template or "", host, name=host.partition(".")[0], index=0)
    name, at, named_host = expanded.partition("@")
    return f"{name or DEFAULT_NAME}@{named_host if at and named_host else host}"


def expand_path(template: str, node: str, index: int = 0) -> str:
    """Return a file name from its template: %n the node's name, %h its host, %d the host's domain,
    %p the whole node name, %i the number of the pool's process (0: main), %I "-1" or nothing.
    """
    name, _, host = node.partition("@")
    return _expand(template, host, name=name, index=index, node=node)


def _expand(template: str, host: str, *, name: str, index: int, node: str = "") -> str:
    values = {
        "h": host,
        "n": name,
        "d": host.partition(".")[2],
        "p": node,
        "i": str(index),
        "I": f"-{index}" if index else "",
        "%": "%",
    }
    return _MARK.sub(lambda mark: values.get(mark[1], mark[0]), template)
