"""`check`, as far as it leaves this machine: name, connection, certificate, clock, login and list of each account."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from easytracking_sync.app import service_of
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import CREDENTIALS, DONE, FINDINGS, USAGE, code_of
from easytracking_sync.cli.findings import Finding
from easytracking_sync.cli.runtime import Session
from easytracking_sync.environments import CLIENT_SECRET
from easytracking_sync.errors import Refused, ServiceUnavailable, SyncError, Unreachable, UsageError
from easytracking_sync.remote import EasyTracking, ListQuery
from easytracking_sync.settings import Account
from easytracking_sync.terms import Window, WindowKind

WARN_SKEW_SECONDS = 60.0
MOST_SKEW_SECONDS = 300.0
"""From there on, tokens look over before they are, and the newest documents lie beyond the end of what is listed."""

EXPIRED, NOT_YET_VALID, WRONG_NAME = 10, 9, 62
"""OpenSSL's codes for what is wrong with a certificate; most others mean an authority that is not known."""


def accounts(session: Session) -> Iterator[Finding]:
    """Log in and list, once each, and compare the clocks."""
    clock = session.effects.clock
    end = clock.now().astimezone(session.settings.timezone).replace(tzinfo=None, microsecond=0)
    query = ListQuery(Window(WindowKind.RECEIVED, end - timedelta(days=1), end), phase1=False, top=1)
    skews: list[float] = []
    for label, account in session.settings.accounts.items():
        begun = clock.monotonic()
        try:
            service = service_of(session.settings, label, session.effects)
        except UsageError as error:
            yield Finding(str(error), USAGE)
            continue
        with service:
            trouble = _try(service, label, account, query)
            if service.clock_ahead is not None:
                skews.append(service.clock_ahead)
        host = account.endpoint.base_url
        yield trouble or Finding(f"{label}: logs in and lists at {host} ({output.span(clock.monotonic() - begun)})")
    if skews:
        yield clock_finding(max(skews, key=abs))


def clock_finding(ahead: float) -> Finding:
    """What it means that the service's clock is so many seconds ahead of ours."""
    if abs(ahead) <= WARN_SKEW_SECONDS:
        return Finding(f"clock: agrees with the service's within {max(1, round(abs(ahead)))} s")
    here = "behind" if ahead > 0 else "ahead of"
    return Finding(
        f"clock: this machine is {output.span(abs(ahead))} {here} the service",
        FINDINGS if abs(ahead) > MOST_SKEW_SECONDS else DONE,
        "set the clock, and keep it by NTP (timedatectl set-ntp true); where it is right, tell the vendor",
    )


def _try(service: EasyTracking, label: str, account: Account, query: ListQuery) -> Finding | None:
    address = account.endpoint.auth_base_url
    try:
        service.log_in()
        address = account.endpoint.base_url
        service.list_documents(query)
    except SyncError as error:
        return Finding(str(error), code_of(error), mend(error, label, account, address))
    return None


def mend(error: SyncError, label: str, account: Account, address: str) -> str:
    """What to do about an account that cannot log in or list; `address` is where it tried to."""
    if code_of(error) == CREDENTIALS:
        own_secret = account.client_secret.get_secret_value() != CLIENT_SECRET
        keys = "username, password and client_secret" if own_secret else "username and password"
        return f"set accounts.{label}.{keys}; hammering may lock the user"
    if isinstance(error, Refused):
        return "the login works, but this user may not list: ask the vendor for the permission"
    if isinstance(error, ServiceUnavailable) and not isinstance(error, Unreachable):
        return (
            f"{address} was reached: see accounts.{label}.environment or base_url and route, and whatever stands "
            "between; where they are right, the vendor's service is not well: wait"
        )
    return _mend_way(error, label, account, address)


def _mend_way(error: SyncError, label: str, account: Account, address: str) -> str:
    """No connection came about."""
    proxy = account.proxy.get_secret_value()
    host, by_proxy = urlsplit(proxy or address).hostname or "", bool(proxy)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _mend_certificate(cause, label, urlsplit(address).hostname or "")
        if isinstance(cause, socket.gaierror):
            where = f"accounts.{label}.proxy" if by_proxy else f"accounts.{label}.environment or base_url"
            return f"no address is known here for {host}: see {where}, /etc/resolv.conf and the network"
        if isinstance(cause, ConnectionRefusedError):
            return f"nothing listens at {host}: see " + (f"accounts.{label}.proxy" if by_proxy else "the address")
    way = "the proxy" if by_proxy else f"network, firewall, accounts.{label}.proxy where there is one"
    return f"see that {address} can be reached from here ({way}), or wait until it is up again"


def _mend_certificate(refusal: ssl.SSLCertVerificationError, label: str, host: str) -> str:
    match refusal.verify_code:
        case code if code in {EXPIRED, NOT_YET_VALID}:
            return f"the certificate of {host} is out of its time: see this machine's clock; else tell the vendor"
        case code if code == WRONG_NAME:
            return f"what answers is not {host}: see the address, the DNS, and whatever stands between"
        case _:
            return (
                f"the authority that signed the certificate of {host} is not known here: where a company's proxy "
                f"reads along, put that company's own authority (PEM) into accounts.{label}.ca_file"
            )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
