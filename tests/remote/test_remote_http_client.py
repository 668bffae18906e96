"""The HTTP client: which settings it refuses, and which secrets it keeps out of messages and logs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from tests.remote.conftest import account_settings

from easytracking_sync.effects import SystemClock
from easytracking_sync.errors import UsageError
from easytracking_sync.remote import EasyTracking


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_ca_file_is_a_configuration_error(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(content or "")
    settings = account_settings(ca_file=str(ca_file))
    if content is None:
        ca_file.unlink()
    with pytest.raises(UsageError, match=r"^acme: ca_file"):
        EasyTracking(settings, label="acme", clock=SystemClock())


def test_an_unusable_proxy_is_a_configuration_error_and_is_not_shown() -> None:
    settings = account_settings(proxy="http://u:canary@ü..b")
    with pytest.raises(UsageError, match=r"^acme: proxy") as caught:
        EasyTracking(settings, label="acme", clock=SystemClock())
    assert "canary" not in str(caught.value)


def test_httpx_does_not_log_addresses() -> None:
    with EasyTracking(account_settings(), label="acme", clock=SystemClock()):
        assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
        assert not logging.getLogger("httpcore").isEnabledFor(logging.INFO)


def test_an_account_s_secrets_include_the_proxy_s_password_as_written_and_decoded() -> None:
    settings = account_settings(
        password="password-canary", client_secret="secret-canary", proxy="http://u:thr%C3%A9e@proxy.example"
    )
    assert set(settings.secrets) == {"password-canary", "secret-canary", "thr%C3%A9e", "thrée"}
    assert not any(secret in repr(settings) for secret in settings.secrets)
