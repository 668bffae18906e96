"""`[http]`: where health and metrics are served, and to whom."""

from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple, Self

from pydantic import PlainValidator, SecretStr, model_validator

from easytracking_sync.settings import address_validators, validators
from easytracking_sync.settings.section import Section, refuse_together


class Listen(NamedTuple):
    """An address of this machine: `host` is an IP address (without brackets) or localhost."""

    host: str
    port: int


class Http(Section):
    """`[http]`. Beyond loopback a token is required."""

    in_files: ClassVar[tuple[str, ...]] = ("token",)

    listen: Annotated[str, PlainValidator(address_validators.listen)] = "127.0.0.1:8464"
    token: Annotated[SecretStr, PlainValidator(address_validators.token)] = SecretStr("")
    token_file: Annotated[Path | None, PlainValidator(validators.optional_path)] = None
    allowed_hosts: Annotated[tuple[str, ...], PlainValidator(address_validators.host_names)] = ()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        at = self.address
        if at is not None and not address_validators.is_loopback(at.host) and not self.token.get_secret_value():
            wanted = "is missing: listening beyond loopback (http.listen) takes one; give it, or token_file"
            refuse_together([("token", wanted)])
        return self

    @property
    def address(self) -> Listen | None:
        """Where to listen; None for nowhere."""
        host, _, port = self.listen.rpartition(":")
        return Listen(host.strip("[]"), int(port)) if self.listen else None

    @property
    def is_chosen(self) -> bool:
        """Whether somebody gave the address, be it the default's."""
        return "listen" in self.model_fields_set
