"""Hides what looks like a secret in texts that screens show, copy and export.

Only the value goes; its name stays, so that one sees that it was given. The dialogs that send
arguments show them as they are: who sends something must see what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: What stands for a value.
HIDDEN = "********"
#: Words in the name of a setting or an argument whose value is nobody's business.
NAMES = r"pass(?:wd|word|phrase)?|secret|token|credential|private|api_?key|auth"
_URL_PASSWORD = re.compile(r"(\w+://[^:/@\s]*):([^@/\s]+)@")
_NAME = re.compile(NAMES, re.IGNORECASE)
#: `'db_password': 'x'` or `"token": 5`, in a repr and in JSON, also in a text inside of JSON.
_PAIR = re.compile(
    rf"""(?P<quote>\\?['"])(?P<name>\w*?(?:{NAMES})\w*)(?P=quote)(?P<colon>\s*:\s*)"""
    r"""(?:(?P<open>\\?['"])(?:(?!(?P=open)).)*(?P=open)?|[^\s,'"\\{\[}\]][^,}\]]*)""",
    re.IGNORECASE | re.DOTALL,
)


def hidden(text: str) -> str:
    """Return `text` without the values of secret names and the passwords of URLs."""
    if ":" not in text:
        return text
    return _PAIR.sub(_without_value, masked(text))


def masked(text: str) -> str:
    """Return `text` with the passwords of its URLs hidden."""
    return _URL_PASSWORD.sub(r"\1:**@", text)


def is_secret_name(name: str) -> bool:
    """True for a setting or argument whose value is not shown."""
    return _NAME.search(name) is not None


def hide_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of a row with `hidden` texts, also those in maps inside of it."""
    return {name: _hide(value) for name, value in record.items()}


def _hide(value: Any) -> Any:
    if isinstance(value, str):
        return hidden(value)
    return hide_in(value) if isinstance(value, Mapping) else value


def _without_value(found: re.Match[str]) -> str:
    quote = found["open"] or found["quote"]
    return f"{found['quote']}{found['name']}{found['quote']}{found['colon']}{quote}{HIDDEN}{quote}"
