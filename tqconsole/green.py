"""Patches a process for `-P gevent` and `-P eventlet`, before anything else is imported.

A module that has taken `socket` or `threading` for itself keeps what it took: so this runs first
thing, and imports of ours only what needs the system's own.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Mapping, Sequence

#: Pool -> the module that patches, and its function.
_PATCHES = {"gevent": ("gevent.monkey", "patch_all"), "eventlet": ("eventlet", "monkey_patch")}
#: A program that starts a worker by itself says so here.
POOL_VARIABLE = "TQCONSOLE_POOL"


def pool_of(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> str:
    """Return the pool that a command line asks for, "" for none that is green."""
    named = environ.get(POOL_VARIABLE, "")
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in ("-P", "--pool"):
            named = following
        elif word.startswith("--pool="):
            named = word.partition("=")[2]
        elif word.startswith("-P") and len(word) > 2:
            named = word[2:]
    if "shell" in words:
        named = next((name for name in _PATCHES if f"--{name}" in words), "")
    return named if named in _PATCHES and {"worker", "shell"} & set(words) else ""


def patch(pool_name: str) -> None:
    """Patch this process for a pool; without the library nothing happens: the pool will say it."""
    module_name, function_name = _PATCHES[pool_name]
    with warnings.catch_warnings():
        # eventlet announces its own end with each import.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            return
        # What has to have the system's own takes it before.
        importlib.import_module("tqconsole.engine.nested_selector")
        getattr(module, function_name)()
