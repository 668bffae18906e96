"""Where the service is: what an address may be, and that no secret shows."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from easytracking_sync.effects import SystemClock
from easytracking_sync.environments import ENVIRONMENTS
from easytracking_sync.errors import UsageError
from easytracking_sync.remote import EasyTracking, Endpoint


def endpoint(base_url: str = "https://base.example", **more: str) -> Endpoint:
    return Endpoint(base_url, "https://auth.example/", "mario", "password-canary", **more)


def test_every_published_environment_is_an_endpoint() -> None:
    for found in ENVIRONMENTS.values():
        assert Endpoint(found.base_url, found.auth_base_url, "mario", "x").base_url == found.base_url


def test_a_repr_shows_no_secret() -> None:
    shown = repr(endpoint(client_secret="secret-canary", proxy="http://u:proxy-canary@proxy.example"))
    assert "canary" not in shown
    assert "mario" in shown


@pytest.mark.parametrize(
    "address",
    [
        "",
        "base.example",
        "ftp://base.example",
        "https://",
        "http://base.example",
        "http://10.0.0.1",
        "https://u:p@base.example",
        "https://base.example/?a=1",
        "https://[::1",
        "https://base.example:x",
    ],
)
def test_an_address_that_will_not_do_is_named_and_not_shown(address: str) -> None:
    with pytest.raises(ValueError, match=r"^base_url"):
        endpoint(address)


@pytest.mark.parametrize("address", ["http://localhost:8080", "http://127.0.0.1:1/", "http://[::1]:5/under/it"])
def test_plain_http_goes_to_this_machine(address: str) -> None:
    assert endpoint(address).base_url == address.rstrip("/")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_a_configuration_error(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(UsageError, match=r"^acme: ca_file"):
        EasyTracking(endpoint(ca_file=str(ca_file)), account="acme", clock=SystemClock(), user_agent="t")


def test_a_proxy_that_cannot_be_used_is_a_configuration_error_and_not_shown() -> None:
    with pytest.raises(UsageError, match=r"^acme: proxy") as caught:
        EasyTracking(endpoint(proxy="gopher://u:canary@p"), account="acme", clock=SystemClock(), user_agent="t")
    assert "canary" not in str(caught.value)


def test_httpx_keeps_addresses_to_itself() -> None:
    with EasyTracking(endpoint(), account="acme", clock=SystemClock(), user_agent="t"):
        assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
        assert not logging.getLogger("httpcore").isEnabledFor(logging.INFO)
