"""What a configuration that was read again changes at once, and what waits for a restart."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from easytracking_sync.app.settings_change import change
from easytracking_sync.settings import Settings


def settings(*, accounts: dict[str, dict[str, Any]] | None = None, **sections: Any) -> Settings:
    login = {"environment": "varhub-staging", "username": "u", "password": "p"}
    chosen = {"acme": {}} if accounts is None else accounts
    return Settings.model_validate(
        {"accounts": {label: {**login, **given} for label, given in chosen.items()}, **sections}
    )


def test_the_same_configuration_changes_nothing() -> None:
    found = change(settings(), settings())
    assert (found.accounts, found.schedules, found.restart) == ((), (), ())
    assert found.settings == settings()


def test_a_new_password_is_taken_up_by_its_account_alone() -> None:
    old = settings(accounts={"acme": {}, "beta": {"username": "b"}})
    new = settings(accounts={"acme": {"password": "q"}, "beta": {"username": "b"}})
    found = change(old, new)
    assert (found.accounts, found.schedules, found.restart) == (("acme",), (), ())
    assert found.settings.accounts["acme"].password.get_secret_value() == "q"


def test_a_new_rhythm_is_taken_up_without_another_login() -> None:
    """Whether it is the account's own or that of all."""
    old = settings(accounts={"acme": {}, "beta": {"username": "b", "every": "1h"}})
    new = settings(accounts={"acme": {}, "beta": {"username": "b", "cron": "0 8 * * *"}}, sync={"every": "5m"})
    found = change(old, new)
    assert (found.accounts, found.schedules, found.restart) == ((), ("acme", "beta"), ())
    assert found.settings.schedule("acme").every == timedelta(minutes=5)
    assert found.settings.schedule("beta").cron == "0 8 * * *"


def test_what_the_engine_was_built_with_waits_for_a_restart_and_is_said_again() -> None:
    """The second reload still finds it: nothing of it was taken up."""
    new = settings(sync={"workers": 3}, storage={"min_free_bytes": 1}, timezone="UTC")
    found = change(settings(), new)
    assert found.restart == ("timezone", "storage.min_free_bytes", "sync.workers")
    assert found.settings.sync.workers == settings().sync.workers
    assert change(found.settings, new).restart == found.restart


def test_accounts_that_come_go_or_become_another_login_wait_for_a_restart() -> None:
    """Another user under the same label is another account: its documents' ids would collide."""
    old = settings(accounts={"acme": {}, "beta": {"username": "b"}, "gone": {"username": "g"}})
    new = settings(accounts={"acme": {}, "beta": {"username": "other"}, "new": {"username": "n"}})
    found = change(old, new)
    assert found.restart == ("accounts.beta", "accounts.gone", "accounts.new")
    assert (found.accounts, found.schedules) == ((), ())
    assert set(found.settings.accounts) == {"acme", "beta", "gone"}
    assert found.settings.accounts["beta"].username == "b"
