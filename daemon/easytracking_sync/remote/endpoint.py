"""Where the service is and who we are there (vendor's document, sections 2 and 3)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from easytracking_sync.environments import CLIENT_SECRET, ROUTE


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One user's way into one Easy Tracking; its repr shows no secret.

    Raises ValueError, which names the field, for an address that is not http(s), that carries a user name, a query
    or a fragment, or that is plain http to anything but this machine.
    """

    base_url: str
    auth_base_url: str
    username: str
    password: str = field(repr=False)
    route: str = ROUTE
    client_secret: str = field(default=CLIENT_SECRET, repr=False)
    ca_file: str | None = None  # PEM of a company's own authority, which then replaces the usual ones
    proxy: str | None = field(default=None, repr=False)  # its address may hold a password

    def __post_init__(self) -> None:
        for name in ("base_url", "auth_base_url"):
            object.__setattr__(self, name, _checked_address(name, getattr(self, name)))
        if not self.route or not all(letter.isalnum() or letter in "-_." for letter in self.route):
            raise ValueError("route is a single path segment, like v10")
        if not self.username:
            raise ValueError("username is empty")

        if self.proxy and not _is_readable(self.proxy):
            raise ValueError("proxy is not a web address")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        proxy_password = urlsplit(self.proxy).password if self.proxy else None
        found = (self.password, self.client_secret, proxy_password, unquote(proxy_password or ""))
        return tuple(secret for secret in found if secret)


def _checked_address(name: str, address: str) -> str:
    """The address without a slash at its end."""
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{name} is not a web address") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError(f"{name} must begin with https:// and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{name} must hold no user name, query or fragment")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise ValueError(f"{name} is plain http to another machine; use https")
    return address.rstrip("/")


def _is_readable(address: str) -> bool:
    try:
        return urlsplit(address).hostname is not None
    except ValueError:
        return False


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
