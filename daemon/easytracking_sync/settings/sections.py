"""The tables of the configuration: every key with its kind and its default (the design's contract, section 5)."""

import re
from collections.abc import Iterator
from datetime import date, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, SecretStr, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from easytracking_sync.environments import CLIENT_SECRET, ENVIRONMENTS, ROUTE, Environment
from easytracking_sync.settings import address_validators, display, validators
from easytracking_sync.settings.display import scheme_and_host
from easytracking_sync.terms import AcknowledgeWith, FileType, OnRelist

HOME = Path("/var/lib/easytracking-sync")
"""The default folder of the archive."""

_BETWEEN_RUNS = validators.duration(timedelta(seconds=1), timedelta(days=31))
_Text = Annotated[str, PlainValidator(validators.plain_text)]
_Path = Annotated[Path | None, PlainValidator(validators.optional_path)]
_Secret = Annotated[SecretStr, PlainValidator(validators.secret)]
_Address = Annotated[str, PlainValidator(address_validators.address)]
_TaxCode = Annotated[str, PlainValidator(validators.tax_code)]
_Cron = Annotated[str, PlainValidator(validators.cron)]


def refuse_together(problems: list[tuple[str, str]]) -> None:
    """Raise one pydantic error for all (key in this section, problem); nothing if there are none."""
    if problems:
        raise PydanticCustomError("problems", "problems", {"problems": problems})


class Section(BaseModel):
    """A table of the configuration. Unknown keys are errors; keys in `in_files` may be read from a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    in_files: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        complete, problems = dict(given), []
        for key in cls.in_files:
            file = given.get(f"{key}_file")
            if not file or not isinstance(file, (str, Path)):
                continue
            if given.get(key):
                problems.append((f"{key}_file", f"conflicts with {key}; set one of the two"))
                continue
            try:
                complete[key] = validators.read_secret(Path(file))
            except ValueError as error:
                problems.append((f"{key}_file", f"names {display.quoted(Path(file))}, which {error}"))
        refuse_together(problems)
        return complete


class StorageBackend(StrEnum):
    """Where the contents of files are stored."""

    DATABASE = "database"
    FILESYSTEM = "filesystem"


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
    """`[storage]`. `Settings.blobs_path` and `Settings.spool_path` give the defaults of empty paths."""

    backend: Annotated[StorageBackend, validators.one_of(StorageBackend)] = StorageBackend.DATABASE
    path: _Path = None
    spool: _Path = None
    min_free_bytes: Annotated[int, validators.whole(0, 10**15)] = 1_000_000_000


class Sync(Section):
    """`[sync]`: schedule, concurrency, pauses and limits."""

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
    def _check(self) -> Self:
        problems = []
        if self.cron and "every" in self.model_fields_set:
            problems.append(("cron", "conflicts with every; set one of the two"))
        if self.poll_first_seconds > self.poll_cap_seconds:
            problems.append(("poll_first_seconds", "must not exceed poll_cap_seconds"))
        if self.retry_base_seconds > self.retry_cap_seconds:
            problems.append(("retry_base_seconds", "must not exceed retry_cap_seconds"))
        refuse_together(problems)
        return self


class Listen(NamedTuple):
    """Where to listen: `host` is an IP address (without brackets) or localhost."""

    host: str
    port: int


class Http(Section):
    """`[http]`: the health and metrics pages. An address beyond loopback requires a token."""

    in_files: ClassVar[tuple[str, ...]] = ("token",)

    listen: Annotated[str, PlainValidator(address_validators.listen)] = "127.0.0.1:8464"
    token: Annotated[SecretStr, PlainValidator(address_validators.token)] = SecretStr("")
    token_file: Annotated[Path | None, PlainValidator(validators.optional_path)] = None
    allowed_hosts: Annotated[tuple[str, ...], PlainValidator(address_validators.host_names)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        at = self.address
        if at is not None and not address_validators.is_loopback(at.host) and not self.token.get_secret_value():
            wanted = "is missing: it is required if http.listen is not a loopback address; set token or token_file"
            refuse_together([("token", wanted)])
        return self

    @property
    def address(self) -> Listen | None:
        """Where to listen; None if the pages are off."""
        host, _, port = self.listen.rpartition(":")
        return Listen(host.strip("[]"), int(port)) if self.listen else None

    @property
    def is_chosen(self) -> bool:
        """Whether the configuration sets the address, even to the default."""
        return "listen" in self.model_fields_set


LEAST_SECRET = 8
"""Parts of an address that are shorter, except passwords, are words like "html" and no secrets."""


class Language(StrEnum):
    """The language of messages."""

    ITALIAN = "it"
    ENGLISH = "en"


class Alerts(Section):
    """`[alerts]`: channels, language and thresholds. The addresses are secrets: most contain a password or token."""

    in_files: ClassVar[tuple[str, ...]] = ("urls", "heartbeat_url")

    urls: Annotated[tuple[SecretStr, ...], PlainValidator(address_validators.channels)] = ()
    urls_file: Annotated[Path | None, PlainValidator(validators.optional_path)] = None
    language: Annotated[Language, validators.one_of(Language)] = Language.ITALIAN
    silent_intervals: Annotated[int, validators.whole(1, 1000)] = 4
    backlog_hours: Annotated[int, validators.whole(1, 8760)] = 24
    free_margin_bytes: Annotated[int, validators.whole(0, 10**15)] = 1_000_000_000
    new_invoices: Annotated[bool, PlainValidator(validators.yes_or_no)] = False
    digest: Annotated[time | None, PlainValidator(validators.time_of_day), WrapValidator(validators.unless_empty)] = (
        None
    )
    heartbeat_url: Annotated[SecretStr, PlainValidator(address_validators.heartbeat)] = SecretStr("")
    heartbeat_url_file: Annotated[Path | None, PlainValidator(validators.optional_path)] = None

    @property
    def secrets(self) -> Iterator[str]:
        """The addresses, and their parts that may be a password, a token or a key."""
        for url in (*self.urls, self.heartbeat_url):
            text = url.get_secret_value()
            yield text
            rest = text.partition("://")[2]
            login, _, _ = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
            known_host = scheme_and_host(text).partition("://")[2]
            said = re.sub(r"(?<=[?&])[A-Za-z_]+=(?=[^&=])", "", rest)  # names of options are words
            parts = [part for part in re.split(r"[/?#&=@:,]", said) if len(part) >= LEAST_SECRET]
            for part in (login.partition(":")[2], *parts):
                if part and part != known_host:
                    yield from (part, unquote(part))


class AccountSettings(Section):
    """`[accounts.LABEL]`: one user of one Easy Tracking service, and what to fetch."""

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
    def _check(self) -> Self:
        problems = []
        own = {"base_url": self.base_url, "auth_base_url": self.auth_base_url}
        if self.environment and any(own.values()):
            problems.append(("environment", "conflicts with base_url and auth_base_url; set it, or both of them"))
        elif not self.environment and not any(own.values()):
            problems.append(("environment", f"is missing; set it to {display.either(ENVIRONMENTS)}"))
        elif not self.environment:
            problems += [(key, "is missing; set both base_url and auth_base_url") for key in own if not own[key]]
        if not self.password.get_secret_value():
            problems.append(("password", "is missing; set password, password_file or a credential"))
        if self.cron and self.every is not None:
            problems.append(("cron", "conflicts with every; set one of the two"))
        if self.ca_file is not None and not validators.is_file(self.ca_file):
            problems.append(("ca_file", f"names {display.quoted(self.ca_file)}, which is not a file"))
        refuse_together(problems)
        return self

    @property
    def endpoint(self) -> Environment:
        """The two addresses, without a final slash."""
        return ENVIRONMENTS[self.environment] if self.environment else Environment(self.base_url, self.auth_base_url)

    @property
    def identity(self) -> tuple[str, str]:
        """(base URL, user name), which identifies the account whatever its label."""
        return self.endpoint.base_url, self.username

    @property
    def secrets(self) -> Iterator[str]:
        """The secrets, as written and decoded."""
        yield from (self.password.get_secret_value(), self.client_secret.get_secret_value())
        yield from address_validators.passwords_in(self.proxy.get_secret_value())
