"""The checks of each account over the network: name, connection, certificate, login, list, and the clock."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from easytracking_sync.app.check.installation import Finding
from easytracking_sync.app.composition import client_of
from easytracking_sync.effects import Effects
from easytracking_sync.environments import CLIENT_SECRET
from easytracking_sync.errors import (
    CredentialsRefused,
    Permanent,
    Refused,
    ServiceUnavailable,
    SyncError,
    Unreachable,
    UsageError,
)
from easytracking_sync.quantities import duration
from easytracking_sync.remote import EasyTracking, ListQuery
from easytracking_sync.settings import AccountSettings, Settings
from easytracking_sync.terms import Window, WindowKind

WARN_SKEW_SECONDS = 60.0
MOST_SKEW_SECONDS = 300.0
"""Beyond this, valid tokens seem expired, and the newest documents may not be listed."""

EXPIRED, NOT_YET_VALID, WRONG_NAME = 10, 9, 62
"""OpenSSL's verification errors; most others mean an untrusted authority."""


def check_accounts(settings: Settings, effects: Effects) -> Iterator[Finding]:
    """Log in to each account and list once, and compare the clocks."""
    clock = effects.clock
    end = clock.now().astimezone(settings.timezone).replace(tzinfo=None, microsecond=0)
    query = ListQuery(Window(WindowKind.RECEIVED, end - timedelta(days=1), end), phase1=False, top=1)
    skews: list[float] = []
    for label, account in settings.accounts.items():
        begun = clock.monotonic()
        try:
            service = client_of(settings, label, effects)
        except UsageError as error:
            yield Finding(str(error), UsageError)
            continue
        with service:
            trouble = _try(service, label, account, query)
            if service.clock_ahead is not None:
                skews.append(service.clock_ahead)
        host = account.endpoint.base_url
        yield trouble or Finding(f"{label}: logs in and lists at {host} ({duration(clock.monotonic() - begun)})")
    if skews:
        yield clock_finding(max(skews, key=abs))


def clock_finding(ahead: float) -> Finding:
    """The finding for a service's clock that is this many seconds ahead of ours."""
    if abs(ahead) <= WARN_SKEW_SECONDS:
        return Finding(f"clock: agrees with the service's within {max(1, round(abs(ahead)))} s")
    return Finding(
        f"clock: this machine is {duration(abs(ahead))} {'behind' if ahead > 0 else 'ahead of'} the service",
        Permanent if abs(ahead) > MOST_SKEW_SECONDS else None,
        "set the clock and synchronise it by NTP (timedatectl set-ntp true); if it is correct, tell the vendor",
    )


def _try(service: EasyTracking, label: str, account: AccountSettings, query: ListQuery) -> Finding | None:
    address = account.endpoint.auth_base_url
    try:
        service.log_in()
        address = account.endpoint.base_url
        service.list_documents(query)
    except SyncError as error:
        return Finding(str(error), type(error), _repair(error, label, account, address))
    return None


def _repair(error: SyncError, label: str, account: AccountSettings, address: str) -> str:
    """What to do about an account that cannot log in or list; `address` is what it tried to reach."""
    if isinstance(error, CredentialsRefused):
        own_secret = account.client_secret.get_secret_value() != CLIENT_SECRET
        keys = "username, password and client_secret" if own_secret else "username and password"
        return f"correct accounts.{label}.{keys}; too many attempts may lock the user"
    if isinstance(error, Refused):
        return "the login works, but this user may not list documents: ask the vendor for the permission"
    if isinstance(error, ServiceUnavailable) and not isinstance(error, Unreachable):
        return (
            f"{address} was reached: check accounts.{label}.environment or base_url and route, and any proxy on the "
            "way. If these settings are correct, the vendor's service has a problem; wait."
        )
    return _repair_connection(error, label, account, address)


def _repair_connection(error: SyncError, label: str, account: AccountSettings, address: str) -> str:
    proxy = account.proxy.get_secret_value()
    host = urlsplit(proxy or address).hostname or ""
    key = f"accounts.{label}.proxy" if proxy else f"accounts.{label}.environment or base_url"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _repair_certificate(cause, label, urlsplit(address).hostname or "")
        if isinstance(cause, socket.gaierror):
            return f"the name {host} cannot be resolved: check {key}, /etc/resolv.conf and the network"
        if isinstance(cause, ConnectionRefusedError):
            return f"nothing listens at {host}: check {key}"
    way = "the proxy" if proxy else f"network, firewall, accounts.{label}.proxy if one is needed"
    return f"check that {address} can be reached from here ({way}), or wait until it is up again"


def _repair_certificate(refusal: ssl.SSLCertVerificationError, label: str, host: str) -> str:
    match refusal.verify_code:
        case code if code in {EXPIRED, NOT_YET_VALID}:
            return (
                f"the certificate of {host} has expired or is not valid yet: check this machine's clock; "
                "if it is correct, tell the vendor"
            )
        case code if code == WRONG_NAME:
            return f"the server that answers is not {host}: check the address, the DNS and any proxy on the way"
        case _:
            return (
                f"the authority that signed the certificate of {host} is not trusted here: if a company's proxy "
                f"reads the traffic, put the company's authority (PEM) into accounts.{label}.ca_file"
            )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
