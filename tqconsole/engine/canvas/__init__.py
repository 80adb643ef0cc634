"""Calls that are not sent yet, and the workflows that are built of them."""

from __future__ import annotations

from tqconsole.engine.canvas.join import chord
from tqconsole.engine.canvas.parallel import chunks, group, xmap, xstarmap
from tqconsole.engine.canvas.sequence import _chain, chain
from tqconsole.engine.canvas.signature import Signature, maybe_signature, signature, subtask
from tqconsole.engine.canvas.stamping import GroupStampingVisitor, StampingVisitor

#: Celery's name for the class behind `chord`.
_chord = chord

__all__ = [
    "GroupStampingVisitor",
    "Signature",
    "StampingVisitor",
    "_chain",
    "_chord",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]
