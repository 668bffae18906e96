"""Text becomes a tree: namespaces do not matter, bounds do, and only what had to be mended is remarked on."""

from __future__ import annotations

import pytest

from easytracking_sync.invoices.limits import MOST_ATTRIBUTES, MOST_DEPTH, MOST_ELEMENTS
from easytracking_sync.invoices.remarks import Flag
from easytracking_sync.invoices.unreadable import Reason, Unreadable
from easytracking_sync.invoices.xml import parse, parses_strictly


@pytest.mark.parametrize(
    "text",
    [
        "<Root><A>1</A></Root>",
        '<p:Root xmlns:p="urn:x"><A>1</A></p:Root>',
        '<Root xmlns="urn:x"><A>1</A></Root>',
        '<Root xmlns:p="http://with a space/"><A>1</A></Root>',
        "<Root xmlns:p='http://stray\"quote'><A>1</A></Root>",
        "<p:Root><p:A>1</p:A></p:Root>",
        "<Root><?xml-stylesheet href='a'?><A>1</A></Root>",
    ],
)
def test_namespaces_broken_or_absent_change_nothing(text: str) -> None:
    """SDI accepts spaces and stray quotes in a namespace's address; undeclared prefixes occur."""
    root, flags = parse(text)
    assert (root.name, root.said("A"), flags) == ("Root", "1", ())


def test_text_is_joined_around_cdata_comments_and_entities() -> None:
    root, _ = parse("<r><a> one <!-- no -->&amp; <![CDATA[<two>]]>&#233; </a></r>")
    assert root.said("a") == "one & <two>é"


def test_elements_within_text_lose_nothing() -> None:
    root, _ = parse("<r><a>one<br>two</br></a></r>")
    assert root.said("a") == "one two"


def test_an_unclosed_tag_is_mended_with_a_remark() -> None:
    root, flags = parse("<r><a>1</a><b>2</r>")
    assert (root.said("a"), root.said("b"), flags) == ("1", "2", (Flag.MENDED_XML,))
    assert not parses_strictly("<r><a>1</a><b>2</r>")


@pytest.mark.parametrize("text", ["", "no xml", "<", "<>"])
def test_what_is_no_xml_is_refused(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(text)
    assert caught.value.reason == Reason.NOT_XML


@pytest.mark.parametrize(
    "text",
    [
        "<a>" * (MOST_DEPTH + 1) + "</a>" * (MOST_DEPTH + 1),
        "<a>" * 100_000,
        "<r>" + "<a/>" * MOST_ELEMENTS + "</r>",
        "<r " + " ".join(f'a{number}=""' for number in range(MOST_ATTRIBUTES + 1)) + "/>",
    ],
    ids=["deep", "deep and open", "many", "attributes"],
)
def test_too_deep_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(text)
    assert caught.value.reason == Reason.TOO_DEEP


def test_the_deepest_that_is_allowed_is_read() -> None:
    root, flags = parse("<a>" * MOST_DEPTH + "</a>" * MOST_DEPTH)
    assert (root.name, flags) == ("a", ())


def test_an_attachment_of_many_megabytes_is_no_obstacle() -> None:
    root, _ = parse("<r><a>" + "QUJD" * 3_000_000 + "</a></r>")
    assert len(root.said("a")) == 12_000_000


def test_unknown_entities_are_not_resolved() -> None:
    root, flags = parse("<r><a>x&file;y</a></r>")
    assert root.said("a") in {"xy", "x&file;y"}
    assert flags == (Flag.MENDED_XML,)
