"""`[http]`: an address of this machine or none, and beyond loopback a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.settings.conftest import Bench


@pytest.mark.parametrize(
    ("listen", "at"),
    [
        ("127.0.0.1:8464", ("127.0.0.1", 8464)),
        ("[::1]:1", ("::1", 1)),
        ("localhost:0", ("localhost", 0)),
        ("127.8.9.1:65535", ("127.8.9.1", 65535)),
    ],
)
def test_a_loopback_address_needs_no_token(bench: Bench, acme: str, listen: str, at: tuple[str, int]) -> None:
    assert bench.load(f'[http]\nlisten = "{listen}"\n{acme}').http.address == at


def test_an_empty_address_turns_the_pages_off(bench: Bench, acme: str) -> None:
    assert bench.load(f'[http]\nlisten = ""\n{acme}').http.address is None


@pytest.mark.parametrize("listen", ["0.0.0.0:8464", "[::]:8464", "192.0.2.1:8464"])
def test_beyond_loopback_a_token_is_required(bench: Bench, acme: str, listen: str) -> None:
    (said,) = bench.refusal(f'[http]\nlisten = "{listen}"\n{acme}')
    assert said.startswith(
        "config.toml: http.token is missing: it is required if http.listen is not a loopback address; "
    )
    assert bench.load(f'[http]\nlisten = "{listen}"\ntoken = "{"x" * 16}"\n{acme}').http.address is not None


@pytest.mark.parametrize(
    "listen", ["8464", ":8464", "*:8464", "example.com:80", "127.0.0.1", "127.0.0.1:65536", "::1:80", "[127.0.0.1]:1"]
)
def test_listen_must_be_an_address_and_a_port(bench: Bench, acme: str, listen: str) -> None:
    (said,) = bench.refusal(f'[http]\nlisten = "{listen}"\n{acme}')
    assert said.startswith(f'config.toml: http.listen is "{listen}", but must be an address and a port like ')


@pytest.mark.parametrize("token", ["short", "fifteen-letters", "with a blank inside it", "città-di-castello-1"])
def test_a_short_or_unsendable_token_is_refused_and_not_shown(bench: Bench, acme: str, token: str) -> None:
    (said,) = bench.refusal(f'[http]\ntoken = "{token}"\n{acme}')
    assert said.startswith("config.toml: http.token must be at least 16 letters, digits and ")
    assert token not in said


def test_a_token_is_redacted_in_the_settings(bench: Bench, acme: str) -> None:
    assert bench.load(f'[http]\ntoken = "{"x" * 16}"\n{acme}').redacted()["http"]["token"] == "********"
    assert bench.load(acme).redacted()["http"]["token"] == ""


def test_host_names_have_no_ports_and_ignore_case(bench: Bench, acme: str) -> None:
    assert bench.load(f'[http]\nallowed_hosts = ["Monitor.Example"]\n{acme}').http.allowed_hosts == (
        "monitor.example",
    )
    assert bench.load(acme, EASYTRACKING_HTTP__ALLOWED_HOSTS="a, b").http.allowed_hosts == ("a", "b")
    for wrong in ('"monitor.example:8464"', "80", '""', '"*"'):
        (said,) = bench.refusal(f"[http]\nallowed_hosts = [{wrong}]\n{acme}")
        assert "must be a list of host names without ports" in said


def test_an_address_is_chosen_if_it_is_set_even_to_the_default(bench: Bench, acme: str) -> None:
    assert not bench.load(acme).http.is_chosen
    assert not bench.load(f'[http]\nallowed_hosts = ["monitor"]\n{acme}').http.is_chosen
    assert bench.load(f'[http]\nlisten = "127.0.0.1:8464"\n{acme}').http.is_chosen
    assert bench.load(acme, EASYTRACKING_HTTP__LISTEN="127.0.0.1:8464").http.is_chosen
