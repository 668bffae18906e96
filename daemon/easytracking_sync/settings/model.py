"""Every key of the configuration: its name, its kind, its default (the design's contract, section 5)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    WrapValidator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from easytracking_sync.environments import CLIENT_SECRET, ENVIRONMENTS, ROUTE, Environment
from easytracking_sync.settings import address_validators, display, validators
from easytracking_sync.settings.alerts import Alerts
from easytracking_sync.settings.http import Http
from easytracking_sync.settings.section import Section, refuse_together
from easytracking_sync.settings.sources import Layer, LayerSource
from easytracking_sync.terms import AcknowledgeWith, FileType, OnRelist

HOME = Path("/var/lib/easytracking-sync")
"""Where the archive lives unless the configuration says otherwise."""


class StorageBackend(StrEnum):
    """Where the files' bytes are kept."""

    DATABASE = "database"
    FILESYSTEM = "filesystem"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When an account's cycle is due: by `cron` where it is not empty, else `every` so often."""

    every: timedelta
    cron: str


_BETWEEN_RUNS = validators.duration(timedelta(seconds=1), timedelta(days=31))
_Text = Annotated[str, PlainValidator(validators.plain_text)]
_Path = Annotated[Path | None, PlainValidator(validators.optional_path)]
_Secret = Annotated[SecretStr, PlainValidator(validators.secret)]
_Address = Annotated[str, PlainValidator(address_validators.address)]
_TaxCode = Annotated[str, PlainValidator(validators.tax_code)]
_Cron = Annotated[str, PlainValidator(validators.cron)]


class Database(Section):
    """`[database]`."""

    in_files: ClassVar[tuple[str, ...]] = ("url",)

    url: Annotated[SecretStr, PlainValidator(address_validators.database_url)] = SecretStr(
        f"sqlite:///{HOME}/archive.db"
    )
    url_file: _Path = None

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file, relative to the working directory unless absolute; None with PostgreSQL."""
        url = self.url.get_secret_value()
        return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


class Storage(Section):
    """`[storage]`; see `Settings.blobs_path` and `Settings.spool_path` for what an empty path means."""

    backend: Annotated[StorageBackend, validators.one_of(StorageBackend)] = StorageBackend.DATABASE
    path: _Path = None
    spool: _Path = None
    min_free_bytes: Annotated[int, validators.whole(0, 10**15)] = 1_000_000_000


class Sync(Section):
    """`[sync]`: how often, how many side by side, how patient."""

    every: Annotated[timedelta, _BETWEEN_RUNS] = timedelta(minutes=15)
    cron: _Cron = ""
    workers: Annotated[int, validators.whole(1, 64)] = 8
    jobs_in_flight: Annotated[int, validators.whole(1, 64)] = 4
    poll_first_seconds: Annotated[float, validators.seconds(0.01, 3600)] = 2.0
    poll_cap_seconds: Annotated[float, validators.seconds(0.01, 3600)] = 30.0
    retry_base_seconds: Annotated[float, validators.seconds(0.01, 3600)] = 1.0
    retry_cap_seconds: Annotated[float, validators.seconds(0.01, 86400)] = 300.0
    job_deadline_seconds: Annotated[float, validators.seconds(1, 82800)] = 3600.0
    max_attempts: Annotated[int, validators.whole(1, 1000)] = 8
    max_file_bytes: Annotated[int, validators.whole(1, 10**12)] = 1_000_000_000

    @model_validator(mode="after")
    def _agree(self) -> Self:
        problems = []
        if self.cron and "every" in self.model_fields_set:
            problems.append(("cron", "cannot stand beside every: give one of the two"))
        if self.poll_first_seconds > self.poll_cap_seconds:
            problems.append(("poll_first_seconds", "must not be above poll_cap_seconds"))
        if self.retry_base_seconds > self.retry_cap_seconds:
            problems.append(("retry_base_seconds", "must not be above retry_cap_seconds"))
        refuse_together(problems)
        return self


class AccountSettings(Section):
    """`[accounts.LABEL]`: one login of one Easy Tracking, and what is wanted of it."""

    in_files: ClassVar[tuple[str, ...]] = ("password", "client_secret")

    environment: Annotated[str, validators.name_among(ENVIRONMENTS)] = ""
    base_url: _Address = ""
    auth_base_url: _Address = ""
    route: Annotated[str, PlainValidator(validators.route)] = ROUTE
    username: Annotated[str, PlainValidator(validators.required_text)]
    password: _Secret = SecretStr("")
    password_file: _Path = None
    client_secret: Annotated[_Secret, BeforeValidator(lambda given: given or CLIENT_SECRET)] = SecretStr(
        CLIENT_SECRET
    )
    client_secret_file: _Path = None
    file_types: Annotated[tuple[FileType, ...], PlainValidator(validators.file_types)] = (
        FileType.FA,
        FileType.MT,
        FileType.FU,
    )
    acknowledge: Annotated[AcknowledgeWith, validators.one_of(AcknowledgeWith)] = AcknowledgeWith.PHASE1
    on_relist: Annotated[OnRelist, validators.one_of(OnRelist)] = OnRelist.ACKNOWLEDGE
    history_from: Annotated[date, PlainValidator(validators.history_start)] = date(2019, 1, 1)
    receiver_piva: _TaxCode = ""
    receiver_cf: _TaxCode = ""
    ca_file: _Path = None
    proxy: Annotated[SecretStr, PlainValidator(address_validators.proxy)] = SecretStr("")
    every: Annotated[timedelta | None, _BETWEEN_RUNS, WrapValidator(validators.unless_empty)] = None
    cron: _Cron = ""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        problems = []
        own = {"base_url": self.base_url, "auth_base_url": self.auth_base_url}
        if self.environment and any(own.values()):
            problems.append(("environment", "cannot stand beside base_url and auth_base_url: give one or the others"))
        elif not self.environment and not any(own.values()):
            problems.append(("environment", f"is missing: it is {display.either(ENVIRONMENTS)}"))
        elif not self.environment:
            problems += [(key, "is missing: base_url and auth_base_url go together") for key in own if not own[key]]
        if not self.password.get_secret_value():
            problems.append(("password", "is missing: give it, or password_file, or a credential"))
        if self.cron and self.every is not None:
            problems.append(("cron", "cannot stand beside every: give one of the two"))
        if self.ca_file is not None and not validators.is_file(self.ca_file):
            problems.append(("ca_file", f"names {display.quoted(self.ca_file)}, which is not a file"))
        refuse_together(problems)
        return self

    @property
    def endpoint(self) -> Environment:
        """The two addresses in force, without a last slash."""
        return ENVIRONMENTS[self.environment] if self.environment else Environment(self.base_url, self.auth_base_url)

    @property
    def identity(self) -> tuple[str, str]:
        """(base URL, user name): what makes two accounts the same, whatever their labels."""
        return self.endpoint.base_url, self.username

    @property
    def secrets(self) -> Iterator[str]:
        """What no message may show, as written and decoded."""
        yield from (self.password.get_secret_value(), self.client_secret.get_secret_value())
        yield from address_validators.passwords_in(self.proxy.get_secret_value())


class Settings(BaseSettings):
    """The whole configuration, validated and frozen.

    `load_settings` builds it from file, environment and credentials. Built directly it takes its keys as arguments
    and reads nothing else, but for the files that `*_file` keys name.
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
        """Its own arguments, then the layers it was derived with; never the process's own environment."""
        return (init_settings, *(LayerSource(settings_cls, layer) for layer in cls.layers))

    @model_validator(mode="after")
    def _keep_identities_apart(self) -> Self:
        owners: dict[tuple[str, str], str] = {}
        problems = []
        for label, account in self.accounts.items():
            owner = owners.setdefault(account.identity, label)
            if owner != label:
                problems.append((f"accounts.{label}", f"has the address and user name of accounts.{owner}: keep one"))
        refuse_together(problems)
        return self

    def schedule(self, label: str) -> Schedule:
        """When the account's cycle is due: its own `cron` or `every` where it has one, else that of `[sync]`."""
        account = self.accounts[label]
        if account.cron or account.every is not None:
            return Schedule(account.every or self.sync.every, account.cron)
        return Schedule(self.sync.every, self.sync.cron)

    @property
    def labels(self) -> Mapping[tuple[str, str], str]:
        """Identity → label: an archive may call an account otherwise, until the service is started anew."""
        return {account.identity: label for label, account in self.accounts.items()}

    @property
    def spool_path(self) -> Path:
        """The folder for parcels on their way: `storage.spool`, or spool/ beside the SQLite file, or in HOME."""
        return self.storage.spool or self._home / "spool"

    @property
    def blobs_path(self) -> Path:
        """The root of the filesystem backend: `storage.path`, or blobs/ beside the SQLite file, or in HOME."""
        return self.storage.path or self._home / "blobs"

    @property
    def _home(self) -> Path:
        file = self.database.sqlite_path
        return HOME if file is None else file.parent

    def redacted(self) -> dict[str, Any]:
        """Every key as the configuration writes it, in nested tables fit for JSON; secrets as "********"."""
        return display.redacted(self)

    @property
    def sources(self) -> Mapping[str, str]:
        """Dotted key → where its value came from: "default", "file …", "environment …" or "credential …"."""
        return {key: self._sources.get(key, "default") for key in display.leaves(self.redacted())}
