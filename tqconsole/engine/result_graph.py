"""What calls have brought about, as a graph: for walking it, and for Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TextIO


class DependencyGraph:
    """Nodes with the nodes that come from them, in the order in which they were added."""

    def __init__(self, formatter: Any = None) -> None:
        self._formatter = formatter
        self._edges: dict[Any, list[Any]] = {}

    def add_arc(self, node: Any) -> None:
        """Add a node."""
        self._edges.setdefault(node, [])

    def add_edge(self, parent: Any, child: Any) -> None:
        """Say that `child` comes from `parent`."""
        self.add_arc(child)
        self._edges.setdefault(parent, []).append(child)

    def topsort(self) -> list[Any]:
        """Return all nodes, each behind those it comes from. Raises: ValueError for a cycle."""
        incoming = dict.fromkeys(self._edges, 0)
        for children in self._edges.values():
            for child in children:
                incoming[child] += 1
        ready = [node for node, count in incoming.items() if not count]
        done: list[Any] = []
        while ready:
            node = ready.pop(0)
            done.append(node)
            for child in self._edges[node]:
                incoming[child] -= 1
                if not incoming[child]:
                    ready.append(child)
        if len(done) < len(incoming):
            raise ValueError("this graph has a cycle")
        return done

    def valency_of(self, node: Any) -> int:
        """Return how many nodes come from one, itself included, each way counted."""
        return 1 + sum(self.valency_of(child) for child in self._edges.get(node, ()))

    def edges(self) -> list[Any]:
        """Return the nodes that something comes from."""
        return [node for node, children in self._edges.items() if children]

    def items(self) -> Iterable[tuple[Any, list[Any]]]:
        """Return (node, what comes from it)."""
        return self._edges.items()

    def to_dot(self, file: TextIO, formatter: Any = None) -> None:
        """Write it in Graphviz's language. `formatter`: node -> label."""
        label = formatter or self._formatter or str
        file.write("digraph dependencies {\n")
        for node, children in self._edges.items():
            file.write(f"  {_quoted(label(node))};\n")
            for child in children:
                file.write(f"  {_quoted(label(node))} -> {_quoted(label(child))};\n")
        file.write("}\n")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._edges)

    def __len__(self) -> int:
        return len(self._edges)

    def __contains__(self, node: Any) -> bool:
        return node in self._edges

    def __getitem__(self, node: Any) -> list[Any]:
        return self._edges[node]

    def __repr__(self) -> str:
        return "\n".join(
            f"{node}({', '.join(map(str, children))})" for node, children in self._edges.items()
        )


def graph_of(root: Any, pairs: Iterable[tuple[Any, Any]], formatter: Any) -> DependencyGraph:
    """Return the graph of (parent, node) pairs; a parent of `root` comes before it."""
    graph = DependencyGraph(formatter)
    if root.parent is not None:
        graph.add_edge(root.parent, root)
    for parent, node in pairs:
        graph.add_arc(node)
        if parent is not None:
            graph.add_edge(parent, node)
    return graph


def _quoted(label: Any) -> str:
    text = str(label).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
