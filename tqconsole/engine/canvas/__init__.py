"""Calls that are not sent yet, and what is built of them."""

from __future__ import annotations

from tqconsole.engine.canvas.signature import Signature, maybe_signature, signature, subtask

__all__ = ["Signature", "maybe_signature", "signature", "subtask"]
