"""Dead letters: what they say, found by a part of their id, sent again with other arguments.

The broker keeps them as raw bytes with a reason; this module reads a letter as far as it can be
read and never raises for what is in it. Nothing here decides when a message dies: that is the
worker's business.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.exceptions import EngineError, RefusedError
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import JSON_ONLY
from tqconsole.engine.protocol.protocol1 import upgrade
from tqconsole.engine.protocol.saferepr import saferepr
from tqconsole.engine.protocol.task import NO_EMBED, TaskBody, decode_body
from tqconsole.engine.protocol.transfer import DeadLetter, Publication
from tqconsole.engine.serialization import encode

#: Bytes of a body that are shown when it cannot be read.
_SHOWN_BYTES = 4096
#: Letters looked through for an id.
_SEARCHED_COUNT = 100_000


class UnknownLetterError(EngineError):
    """No dead letter, or more than one, has an id that begins so."""


class LetterText(msgspec.Struct, frozen=True):
    """A letter as far as it can be read; "" where nothing can."""

    task_id: str = ""
    task_name: str = ""
    args: str = ""
    kwargs: str = ""
    body: str = ""
    is_readable: bool = False


class DeadLetters:
    """An app's dead letters (`app.dead`): to list, to send again, to drop.

    Letters are named by their ids, by their tasks' ids, or by how one of these begins.
    """

    def __init__(self, broker: Callable[[], Broker]) -> None:
        self._broker = broker

    def list(self, queue: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """Return dead letters, newest first, of one queue or of all.

        Raises: ValueError for a limit below 1, OperationalError.
        """
        if limit < 1:
            raise ValueError(f"limit is 1 or more, not {limit}")
        return self._broker().dead_letters(queue, limit)

    def replay(self, *ids: str, args: Any = None, kwargs: Any = None) -> int:
        """Put letters back into their queues; return how many.

        `args` and `kwargs` replace a single letter's arguments.
        Raises: UnknownLetterError, ValueError for new arguments of several; then nothing was sent.
        """
        broker = self._broker()
        letters = find_letters(broker, ids)
        if args is None and kwargs is None:
            return broker.replay([letter.letter_id for letter in letters]) if letters else 0
        if len(letters) != 1:
            raise ValueError(f"args and kwargs are those of one letter, not of {len(letters)}")
        # Sent first: a crash in between leaves a letter too many, never one too few.
        broker.publish([edited(letters[0], args, kwargs)])
        return broker.drop([letters[0].letter_id])

    def drop(self, *ids: str) -> int:
        """Delete letters for good; return how many. Raises: UnknownLetterError."""
        letters = find_letters(self._broker(), ids)
        return self._broker().drop([letter.letter_id for letter in letters]) if letters else 0


def find_letters(broker: Broker, ids: Sequence[str]) -> list[DeadLetter]:
    """Return the letters whose letter or task ids begin with these.

    Raises: UnknownLetterError for an id that fits none or several, OperationalError.
    """
    letters = broker.dead_letters(None, _SEARCHED_COUNT)
    return [_the_one(letters, wanted) for wanted in ids]


def read_letter(letter: DeadLetter) -> LetterText:
    """Return what a letter says. Never raises: it is dead because something is wrong in it."""
    headers = letter.message.headers
    text = LetterText(
        task_id=_word(headers.get("id")),
        task_name=_word(headers.get("task")),
        args=_word(headers.get("argsrepr")),
        kwargs=_word(headers.get("kwargsrepr")),
        body=shown_body(letter.message),
    )
    try:
        upgraded, body = _opened(letter.message)
    except RefusedError:
        return text
    return msgspec.structs.replace(
        text,
        task_id=_word(upgraded.headers.get("id")),
        task_name=_word(upgraded.headers.get("task")),
        args=saferepr(body.args),
        kwargs=saferepr(body.kwargs),
        is_readable=True,
    )


def edited(
    letter: DeadLetter, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
) -> Publication:
    """Return the letter's message with other arguments, addressed to its queue.

    Links, chains and options stay as they are; of a body that cannot be read they are gone, and
    both `args` and `kwargs` must be given. Raises: RefusedError when the letter cannot be
    read, EncodeError for arguments that cannot be serialised.
    """
    message, body = _opened_for(letter.message, has_all=args is not None and kwargs is not None)
    new_args = list(body.args if args is None else args)
    new_kwargs = dict(body.kwargs if kwargs is None else kwargs)
    embed = body.embed
    content_type, encoding, payload = encode(
        [
            new_args,
            new_kwargs,
            {
                "callbacks": embed.callbacks,
                "errbacks": embed.errbacks,
                "chain": embed.chain,
                "chord": embed.chord,
            },
        ],
        "json",
    )
    headers = {name: value for name, value in message.headers.items() if name != "compression"}
    headers |= {"argsrepr": saferepr(tuple(new_args)), "kwargsrepr": saferepr(new_kwargs)}
    # Whatever kind of message it was: its headers are these now.
    changed = Message(payload, content_type, encoding, headers, message.properties)
    return Publication(changed, letter.queue)


def shown_body(message: Message) -> str:
    """Return the raw body as text, base64 where it is none, cut where it is long."""
    shown = message.body[:_SHOWN_BYTES]
    try:
        text = shown.decode("utf-8")
    except UnicodeDecodeError:
        text = "base64:" + base64.b64encode(shown).decode("ascii")
    rest = len(message.body) - len(shown)
    return f"{text}... and {rest} bytes more" if rest else text


def _opened(message: Message) -> tuple[Message, TaskBody]:
    """Return a message in protocol 2 and its body. Raises: RefusedError."""
    upgraded = upgrade(message, JSON_ONLY, DEFAULT_LIMITS)
    return upgraded, decode_body(upgraded, JSON_ONLY, DEFAULT_LIMITS)


def _opened_for(message: Message, *, has_all: bool) -> tuple[Message, TaskBody]:
    """Return what `_opened` does; where all arguments are given anew, also of a ruined body."""
    try:
        return _opened(message)
    except RefusedError:
        # Protocol 1 keeps the task's name in the body: without it there is nothing to send.
        if not has_all or not isinstance(message.headers.get("task"), str):
            raise
        return message, TaskBody(args=[], kwargs={}, embed=NO_EMBED)


def _the_one(letters: Sequence[DeadLetter], wanted: str) -> DeadLetter:
    found = [
        letter
        for letter in letters
        if letter.letter_id.startswith(wanted)
        or str(letter.message.headers.get("id", "")).startswith(wanted)
    ]
    exact = [letter for letter in found if letter.letter_id == wanted]
    if len(exact) == 1:
        return exact[0]
    if not found:
        raise UnknownLetterError(f"no dead letter's id begins with {wanted!r}")
    if len(found) > 1:
        raise UnknownLetterError(f"{len(found)} dead letters' ids begin with {wanted!r}: say more")
    return found[0]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
