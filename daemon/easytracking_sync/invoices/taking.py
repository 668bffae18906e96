"""Values taken from a tree, with a memory of what was taken: what nobody asked for is shown as it is, never lost."""

from __future__ import annotations

from easytracking_sync.invoices.invoice import Field
from easytracking_sync.invoices.scalars import Day, Number, read_day, read_number
from easytracking_sync.invoices.tree import Node


class Taking:
    """One element that is being read. Parts of it share its memory."""

    __slots__ = ("_taken", "node")

    def __init__(self, node: Node, taken: set[int] | None = None) -> None:
        self.node = node
        self._taken: set[int] = set() if taken is None else taken

    def said(self, *paths: str) -> str:
        """The first text at the first of these paths that has one; empty where none has."""
        for path in paths:
            for node in self.node.all(path):
                text = node.whole_text()
                if text:
                    self._take(node)
                    return text
        return ""

    def name(self, *paths: str) -> str:
        """The same, with white space inside collapsed: for names, which people break over lines."""
        return " ".join(self.said(*paths).split())

    def every(self, path: str) -> tuple[str, ...]:
        """All texts at that path."""
        nodes = [node for node in self.node.all(path) if node.whole_text()]
        for node in nodes:
            self._take(node)
        return tuple(node.whole_text() for node in nodes)

    def number(self, *paths: str) -> Number | None:
        """A number; None where there is no text."""
        return read_number(self.said(*paths))

    def day(self, *paths: str) -> Day | None:
        """A date; None where there is no text."""
        return read_day(self.said(*paths))

    def part(self, path: str) -> Taking | None:
        """The first element at that path."""
        node = self.node.first(path)
        return None if node is None else Taking(node, self._taken)

    def parts(self, path: str) -> list[Taking]:
        """Every element at that path."""
        return [Taking(node, self._taken) for node in self.node.all(path)]

    def attribute(self, name: str) -> str:
        """An attribute of this element; empty where it is not there."""
        return self.node.attributes.get(name, "").strip()

    def rest(self) -> tuple[Field, ...]:
        """All texts below that nobody took, with their paths; they are taken now."""
        fields = []
        for path, node in self.node.leaves():
            if node.text and id(node) not in self._taken:
                self._taken.add(id(node))
                fields.append(Field(path, node.text))
        return tuple(fields)

    def take_all(self) -> None:
        """Nothing below is to be shown among the rest."""
        self._take(self.node)

    def _take(self, node: Node) -> None:
        self._taken.add(id(node))
        for _, leaf in node.leaves():
            self._taken.add(id(leaf))
