"""What a reloaded configuration changes at once, and what needs a restart."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from easytracking_sync.app.settings_change import compare_settings
from easytracking_sync.settings import Settings


def settings(*, accounts: dict[str, dict[str, Any]] | None = None, **sections: Any) -> Settings:
    login = {"environment": "varhub-staging", "username": "u", "password": "p"}
    chosen = {"acme": {}} if accounts is None else accounts
    return Settings.model_validate(
        {"accounts": {label: {**login, **given} for label, given in chosen.items()}, **sections}
    )


def test_the_same_configuration_changes_nothing() -> None:
    found = compare_settings(settings(), settings())
    assert (found.accounts, found.schedules, found.restart) == ((), (), ())
    assert found.settings == settings()


def test_a_new_password_changes_its_account_only() -> None:
    old = settings(accounts={"acme": {}, "beta": {"username": "b"}})
    new = settings(accounts={"acme": {"password": "q"}, "beta": {"username": "b"}})
    found = compare_settings(old, new)
    assert (found.accounts, found.schedules, found.restart) == (("acme",), (), ())
    assert found.settings.accounts["acme"].password.get_secret_value() == "q"


def test_a_new_schedule_needs_no_new_client() -> None:
    """Of one account, or the default of all."""
    old = settings(accounts={"acme": {}, "beta": {"username": "b", "every": "1h"}})
    new = settings(accounts={"acme": {}, "beta": {"username": "b", "cron": "0 8 * * *"}}, sync={"every": "5m"})
    found = compare_settings(old, new)
    assert (found.accounts, found.schedules, found.restart) == ((), ("acme", "beta"), ())
    assert found.settings.schedule("acme").every == timedelta(minutes=5)
    assert found.settings.schedule("beta").cron == "0 8 * * *"


def test_settings_of_the_engine_need_a_restart_and_are_reported_again() -> None:
    """The second reload reports the same, since nothing of it was applied."""
    new = settings(sync={"workers": 3}, storage={"min_free_bytes": 1}, timezone="UTC")
    found = compare_settings(settings(), new)
    assert found.restart == ("timezone", "storage.min_free_bytes", "sync.workers")
    assert found.settings.sync.workers == settings().sync.workers
    assert compare_settings(found.settings, new).restart == found.restart


def test_added_removed_and_redirected_accounts_need_a_restart() -> None:
    """A label with another user is another account: document ids would collide."""
    old = settings(accounts={"acme": {}, "beta": {"username": "b"}, "gone": {"username": "g"}})
    new = settings(accounts={"acme": {}, "beta": {"username": "other"}, "new": {"username": "n"}})
    found = compare_settings(old, new)
    assert found.restart == ("accounts.beta", "accounts.gone", "accounts.new")
    assert (found.accounts, found.schedules) == ((), ())
    assert set(found.settings.accounts) == {"acme", "beta", "gone"}
    assert found.settings.accounts["beta"].username == "b"
