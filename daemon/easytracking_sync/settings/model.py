"""The whole configuration, as one frozen value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from zoneinfo import ZoneInfo

from pydantic import Field, PlainValidator, PrivateAttr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from easytracking_sync.settings import display, validators
from easytracking_sync.settings.address_validators import passwords_in
from easytracking_sync.settings.sections import (
    HOME,
    AccountSettings,
    Alerts,
    Database,
    Http,
    Storage,
    Sync,
    refuse_together,
)
from easytracking_sync.settings.sources import Layer, LayerSource


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an account is listed: by `cron` if it is not empty, else after `every`."""

    every: timedelta
    cron: str


class Settings(BaseSettings):
    """The validated configuration.

    `load_settings` builds it from file, environment and credentials. The constructor takes keys as arguments and
    reads only the files that `*_file` keys name.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    layers: ClassVar[tuple[Layer, ...]] = ()

    timezone: Annotated[ZoneInfo, PlainValidator(validators.zone)] = ZoneInfo("Europe/Rome")
    database: Database = Database()
    storage: Storage = Storage()
    sync: Sync = Sync()
    http: Http = Http()
    alerts: Alerts = Alerts()
    accounts: Mapping[Annotated[str, PlainValidator(validators.label)], AccountSettings] = Field(default_factory=dict)
    _sources: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_built_in: PydanticBaseSettingsSource,
        **_built_in_too: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The arguments, then `layers`; never the environment of the process."""
        return (init_settings, *(LayerSource(settings_cls, layer) for layer in cls.layers))

    @model_validator(mode="after")
    def _keep_identities_apart(self) -> Self:
        owners: dict[tuple[str, str], str] = {}
        problems = []
        for label, account in self.accounts.items():
            owner = owners.setdefault(account.identity, label)
            if owner != label:
                problems.append(
                    (
                        f"accounts.{label}",
                        f"has the same address and user name as accounts.{owner}; remove one of the two",
                    )
                )
        refuse_together(problems)
        return self

    def schedule(self, label: str) -> Schedule:
        """The schedule of an account: its own `cron` or `every`, else that of `[sync]`."""
        account = self.accounts[label]
        if account.cron or account.every is not None:
            return Schedule(account.every or self.sync.every, account.cron)
        return Schedule(self.sync.every, self.sync.cron)

    @property
    def secrets(self) -> Iterator[str]:
        """Everything that no log line or message may show."""
        yield from passwords_in(self.database.url.get_secret_value())
        yield self.http.token.get_secret_value()
        yield from self.alerts.secrets
        for account in self.accounts.values():
            yield from account.secrets

    @property
    def labels(self) -> Mapping[tuple[str, str], str]:
        """Identity → label. The archive may have an older label until the service restarts."""
        return {account.identity: label for label, account in self.accounts.items()}

    @property
    def spool_path(self) -> Path:
        """The folder for downloads in progress: `storage.spool`, or spool/ beside the SQLite file, or in HOME."""
        return self.storage.spool or self._home / "spool"

    @property
    def blobs_path(self) -> Path:
        """The root folder of stored files: `storage.path`, or blobs/ beside the SQLite file, or in HOME."""
        return self.storage.path or self._home / "blobs"

    @property
    def _home(self) -> Path:
        file = self.database.sqlite_path
        return HOME if file is None else file.parent

    def redacted(self) -> dict[str, Any]:
        """Every key as in the configuration, in nested tables for JSON; secrets are "********"."""
        return display.redacted(self)

    @property
    def sources(self) -> Mapping[str, str]:
        """Dotted key → source of its value: "default", "file …", "environment …" or "credential …"."""
        return {key: self._sources.get(key, "default") for key in display.leaves(self.redacted())}
