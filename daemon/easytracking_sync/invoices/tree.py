"""An XML document as names, texts and children: namespaces gone, white space trimmed, nothing else lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from easytracking_sync.invoices.limits import MOST_ATTRIBUTES, MOST_DEPTH, MOST_ELEMENTS
from easytracking_sync.invoices.unreadable import Reason, Unreadable

_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}


class Node:
    """One element. `text` joins all its direct text (around comments, CDATA, entities), trimmed."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: Mapping[str, str] = _NO_ATTRIBUTES) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Node] = []
        self.text = ""

    def all(self, path: str) -> list[Node]:
        """Every descendant at that path of local names (`A/B`), in the order of the file."""
        found = [self]
        for name in path.split("/"):
            found = [child for node in found for child in node.children if child.name == name]
            if not found:
                break
        return found

    def first(self, path: str) -> Node | None:
        """The first at that path."""
        found = self.all(path)
        return found[0] if found else None

    def said(self, path: str) -> str:
        """The text of the first at that path that has any; empty where none has."""
        for node in self.all(path):
            text = node.whole_text()
            if text:
                return text
        return ""

    def whole_text(self) -> str:
        """The text of the element, and of elements within it where it is mixed."""
        if not self.children:
            return self.text
        return " ".join(part for part in (self.text, *(child.whole_text() for child in self.children)) if part)

    def leaves(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Every element without children, with its path below this one."""
        for child in self.children:
            below = f"{path}/{child.name}" if path else child.name
            if child.children:
                yield from child.leaves(below)
            else:
                yield below, child


class TreeBuilder:
    """What an XML parser tells, made into nodes. Unreadable as soon as there is too much of it."""

    def __init__(self) -> None:
        self._root: Node | None = None
        self._open: list[tuple[Node, list[str]]] = []
        self._elements = 0
        self._attributes = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins. After a repair, an undeclared prefix is still part of the tag."""
        self._elements += 1
        self._attributes += len(attributes)
        if self._elements > MOST_ELEMENTS or self._attributes > MOST_ATTRIBUTES or len(self._open) >= MOST_DEPTH:
            raise Unreadable(Reason.TOO_DEEP)
        named = {local_name(name): value for name, value in attributes.items()} if attributes else _NO_ATTRIBUTES
        node = Node(local_name(tag), named)
        if self._open:
            self._open[-1][0].children.append(node)
        elif self._root is None:
            self._root = node
        self._open.append((node, []))

    def data(self, text: str) -> None:
        """Some text within the innermost element."""
        if self._open:
            self._open[-1][1].append(text)

    def end(self, _tag: str) -> None:
        """The innermost element ends."""
        if self._open:
            node, texts = self._open.pop()
            node.text = "".join(texts).strip()

    def close(self) -> Node | None:
        """The root, with whatever was never closed closed."""
        while self._open:
            self.end("")
        return self._root


def local_name(tag: str) -> str:
    """The name without its namespace and its prefix."""
    return tag.rpartition("}")[2].rpartition(":")[2]
