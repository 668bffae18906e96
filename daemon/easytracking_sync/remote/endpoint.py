"""Where the service is and who we are there (vendor's document, sections 2 and 3).

Standard library only. An `Endpoint` never shows its secrets in its repr.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

DEFAULT_ROUTE = "v10"

API_NAME = "openBusiness.scope.serviziweb.api"
CLIENT_NAME = "openBusiness.client.serviziweb.api"
DEFAULT_CLIENT_SECRET = "uKNtPmq49yjLkaYv"  # noqa: S105 - published in section 3, the same for every customer


class Addresses(NamedTuple):
    """The two base URLs of one environment."""

    base_url: str
    auth_base_url: str


ENVIRONMENTS: Mapping[str, Addresses] = MappingProxyType(
    {
        "varhub-production": Addresses("https://servizi.varhub.it", "https://isentry.varhub.it"),
        "varhub-staging": Addresses("https://servizitest.varhub.it", "https://isentrytest.varhub.it"),
        "ditech-production": Addresses(
            "https://servizi.intermediario.ditechonline.it", "https://isentry.intermediario.ditechonline.it"
        ),
        "ditech-staging": Addresses(
            "https://servizi.intermediariotest.ditechonline.it", "https://isentry.intermediariotest.ditechonline.it"
        ),
    }
)
"""The environments of section 2 by the name the configuration gives them."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One user's way into one environment.

    Raises ValueError, which names the field and never shows a secret, for a URL that is not http(s), that carries a
    user name, a query or a fragment, or that is plain http to anything but this machine.
    """

    base_url: str
    auth_base_url: str
    username: str
    password: str = field(repr=False)
    route: str = DEFAULT_ROUTE
    client_secret: str = field(default=DEFAULT_CLIENT_SECRET, repr=False)
    ca_file: str | None = None  # a company's own authority, PEM; it then replaces the usual ones
    proxy: str | None = field(default=None, repr=False)  # its URL may hold a password

    def __post_init__(self) -> None:
        for name in ("base_url", "auth_base_url"):
            object.__setattr__(self, name, _checked_url(name, getattr(self, name)))
        if not self.route or not all(letter.isalnum() or letter in "-_." for letter in self.route):
            raise ValueError("route is a single path segment, like v10")
        if not self.username:
            raise ValueError("username is empty")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self.password, self.client_secret)


def _checked_url(name: str, url: str) -> str:
    """The URL without a slash at its end."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{name} is not a URL") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError(f"{name} must begin with https:// and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{name} must hold no user name, query or fragment")
    if parts.scheme == "http" and not _is_this_machine(parts):
        raise ValueError(f"{name} is plain http to another machine; use https")
    return url.rstrip("/")


def _is_this_machine(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
