"""Stamps: names and values that a workflow's calls carry in their headers, to be found by later.

A visitor is asked at every part of a workflow which stamps it gets; what it answers is merged with
the stamps given by name and with those the part has already (which of them wins is Celery's rule:
the outer one, unless stamps are appended).
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any

from tqconsole.engine.canvas.plan import listed
from tqconsole.engine.protocol.identity import new_id

#: The option, and header, that names the stamps.
NAMES = "stamped_headers"


class StampingVisitor(abc.ABC):
    """Says which stamps the parts of a workflow get. Each method returns stamps, or None.

    A key `stamped_headers` in an answer names those of its keys that are stamps; without it all
    are.
    """

    @abc.abstractmethod
    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any] | None:
        """Asked at every call."""

    def on_group_start(self, group: Any, **headers: Any) -> dict[str, Any] | None:
        """Asked before a group's members."""
        return {}

    def on_group_end(self, group: Any, **headers: Any) -> None:  # noqa: B027 - most need no end
        """Called after a group's members."""

    def on_chain_start(self, chain: Any, **headers: Any) -> dict[str, Any] | None:
        """Asked before a chain's steps."""
        return {}

    def on_chain_end(self, chain: Any, **headers: Any) -> None:  # noqa: B027 - most need no end
        """Called after a chain's steps."""

    def on_chord_header_start(self, sig: Any, **headers: Any) -> dict[str, Any] | None:
        """Asked before a chord's header: it is a group, so `on_group_start` answers."""
        return self.on_group_start(sig.header_group(), **headers)

    def on_chord_header_end(self, sig: Any, **headers: Any) -> None:
        """Called after a chord's header."""
        self.on_group_end(sig.header_group(), **headers)

    def on_chord_body(self, sig: Any, **headers: Any) -> dict[str, Any] | None:
        """Asked at a chord, for its body."""
        return {}

    def on_callback(self, callback: Any, **headers: Any) -> dict[str, Any] | None:
        """Asked at every link."""
        return {}

    def on_errback(self, errback: Any, **headers: Any) -> dict[str, Any] | None:
        """Asked at every error link."""
        return {}


class GroupStampingVisitor(StampingVisitor):
    """Stamps every call with `groups`: the ids of the groups it is in, the outermost first."""

    def __init__(self, groups: list[str] | None = None) -> None:
        self.groups = list(groups or ())

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        """Return the groups that are open."""
        return {"groups": list(self.groups), NAMES: ["groups"]}

    def on_group_start(self, group: Any, **headers: Any) -> dict[str, Any]:
        """Give the group an id if it has none, and note it."""
        self.groups.append(group.options.setdefault("task_id", new_id()))
        return {}

    def on_group_end(self, group: Any, **headers: Any) -> None:
        """The group's members are stamped."""
        self.groups.pop()

    def on_chord_header_start(self, sig: Any, **headers: Any) -> dict[str, Any]:
        """As `on_group_start`: a chord's own id is its header's."""
        return self.on_group_start(sig, **headers)


class Stamped:
    """The part of a signature that can be stamped."""

    set: Callable[..., Any]
    member: Callable[[Any], Any]

    @property
    @abc.abstractmethod
    def options(self) -> dict[str, Any]:
        """Options of `apply_async`."""

    def stamp(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any
    ) -> Any:
        """Stamp the call and its links with these headers, and as the visitor says."""
        self.stamp_links(visitor, append_stamps, **headers)
        visited = None if visitor is None else visitor.on_signature(self, **headers) or {}
        return self.set(**self.stamps_of(visited, append_stamps, headers))

    def stamp_links(
        self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any
    ) -> None:
        """Stamp what it links to."""
        for option, name in (("link", "on_callback"), ("link_error", "on_errback")):
            links = [self.member(link) for link in listed(self.options.get(option))]
            for link in links:
                visited = None if visitor is None else getattr(visitor, name)(link, **headers) or {}
                stamps = merged_headers(headers, visited, None, append=append_stamps)
                link.stamp(visitor, append_stamps, **stamps)
            if links:
                self.options[option] = links

    def stamps_of(
        self, visited: Mapping[str, Any] | None, append_stamps: bool, headers: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the stamps that it has with these."""
        return merged_headers(headers, visited, self.options, append=append_stamps)


def merged_headers(
    headers: Mapping[str, Any],
    visited: Mapping[str, Any] | None,
    own: Mapping[str, Any] | None,
    *,
    append: bool,
) -> dict[str, Any]:
    """Return the stamps of a part: those from outside, the visitor's, its own options' (if any)."""
    made = dict(headers)
    made.setdefault(NAMES, list(made))
    if visited is not None:
        _merge(made, {**visited, NAMES: visited.get(NAMES) or _names(visited)}, append=append)
    if own is not None:
        names = [*made[NAMES], *(own.get(NAMES) or ())]
        made[NAMES] = names
        _merge(made, {name: own[name] for name in names if name in own}, append=append)
    made[NAMES] = list(dict.fromkeys(made[NAMES]))
    return made


def _names(stamps: Mapping[str, Any]) -> list[str]:
    return [name for name in stamps if name != NAMES]


def _merge(into: dict[str, Any], more: Mapping[str, Any], *, append: bool) -> None:
    """Take over what is not there; lists grow, single values stay unless stamps are appended."""
    for name, value in more.items():
        held = into.get(name)
        if name not in into:
            into[name] = value
        elif isinstance(held, list) and isinstance(value, list):
            into[name] = [*held, *value]
        elif append:
            into[name] = [*listed(held), *listed(value)]
