"""Decoded text becomes a tree. The only module that knows lxml.

Nothing is resolved, loaded or fetched: a DOCTYPE was refused before, so that there are no entities but the five.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from easytracking_sync.invoices.remarks import Flag
from easytracking_sync.invoices.tree import Node, TreeBuilder
from easytracking_sync.invoices.unreadable import Reason, Unreadable

_HARMLESS = frozenset({"NS_ERR_UNDEFINED_NAMESPACE", "NS_ERR_XML_NAMESPACE", "NS_ERR_QNAME", "NS_ERR_EMPTY"})
"""Addresses of namespaces with a space or a stray quote in them, which SDI accepts, and undeclared prefixes."""


def parse(text: str) -> tuple[Node, tuple[Flag, ...]]:
    """The root, and whether tags had to be mended. Unreadable where nothing is left after mending."""
    data = text.encode("utf-8")
    try:
        return _root(data, _parser(recover=False)), ()
    except etree.XMLSyntaxError:
        pass
    parser = _parser(recover=True)
    try:
        root = _root(data, parser)
    except etree.XMLSyntaxError as error:
        raise Unreadable(Reason.NOT_XML) from error
    return root, _mended(parser)


def parses_strictly(text: str) -> bool:
    """Whether nothing has to be mended."""
    try:
        _root(text.encode("utf-8"), _parser(recover=False))
    except etree.XMLSyntaxError:
        return False
    return True


def _parser(*, recover: bool) -> Any:
    return etree.XMLParser(
        target=TreeBuilder(),
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
    )


def _root(data: bytes, parser: Any) -> Node:
    root = etree.fromstring(data, parser)
    if not isinstance(root, Node):
        raise Unreadable(Reason.NOT_XML)
    return root


def _mended(parser: Any) -> tuple[Flag, ...]:
    harmless = all(entry.type_name in _HARMLESS for entry in parser.error_log)
    return () if harmless else (Flag.MENDED_XML,)
