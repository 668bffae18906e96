"""The service answers every request, by the rules of its document."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from easytracking_simulator import Options, Request, Simulator
from easytracking_simulator.listing import FIELDS


class Still:
    """A clock that never advances."""

    def now(self) -> datetime:
        return datetime(2024, 6, 3, 10, tzinfo=UTC)


SIMULATOR = Simulator(Options(documents=20, p7m_share=0.0), Still())
IDS = SIMULATOR.ids()
NAMES = st.sampled_from([*sorted(FIELDS), "Top", "x"])
VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["true", "false", "5", "100001", "2024-05-01", "2024-05-20", "2024-05-01 00:00:00"]),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.sampled_from(IDS)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
BODIES = st.one_of(
    st.binary(max_size=20),
    st.fixed_dictionaries(
        {"docIds": st.one_of(JSON, st.lists(st.sampled_from(IDS), max_size=5))},
        optional={"fatturaOriginale": JSON, "metadatoSDI": st.booleans()},
    ).map(lambda value: json.dumps(value).encode()),
)
POSTS = ("DownloadInvoices/jobs", "DownloadInvoices/jobs-select-type", "PassiveInvoices/set-fase-1")


def headers() -> dict[str, str]:
    account, options = SIMULATOR.accounts[0], SIMULATOR.options
    given_ = {
        "apiName": options.api_name, "clientName": options.client_name, "clientSecret": options.client_secret,
        "username": account.username, "password": account.password,
    }  # fmt: skip
    reply = SIMULATOR.answer(Request("POST", "/api/Token/AccessToken", body=json.dumps(given_).encode()))
    return {"Authorization": f"Bearer {reply.json()}"}


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4))
def test_every_query_is_answered_or_refused_with_a_message(pairs: list[tuple[str, str]]) -> None:
    path = "/api/v10/DownloadInvoices/passive-invoices"
    reply = SIMULATOR.answer(Request("GET", path, urlencode(pairs, errors="surrogatepass"), headers()))
    assert reply.status in {200, 400}
    if reply.status == 400:
        assert reply.json()["message"]
    else:
        assert {element["id"] for element in reply.json()["invoices"]} <= set(IDS)


@given(st.sampled_from(POSTS), BODIES)
def test_every_body_is_accepted_or_refused_as_the_document_says(path: str, body: bytes) -> None:
    reply = SIMULATOR.answer(Request("POST", f"/api/v10/{path}", "", headers(), body))
    assert reply.status in {200, 202, 400, 403}
    assert (reply.status == 400) == (b"message" in reply.body)


@settings(max_examples=30)
@given(st.text(alphabet=string.printable + "à€", max_size=40))
def test_every_path_is_answered(path: str) -> None:
    assert SIMULATOR.answer(Request("GET", f"/{path}", "", headers())).status in {404, 405}
