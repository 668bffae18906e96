"""One HTTP POST to an address that a configuration names, under a deadline, and to no network it does not allow.

Redirects are not followed, and no body is read: a receiver has answered when its status has arrived.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from easytracking_sync.effects import Clock
from easytracking_sync.errors import SinkRefused, SinkUnavailable, UsageError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""The IP addresses of a host, in the order in which to try them; OSError if there are none."""

PORTS = {"http": 80, "https": 443}


def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the header Retry-After."""

    status: int
    retry_after: str | None


class Target:
    """Where to post. UsageError for an address that is neither https nor http to this machine.

    An address that resolves to a private network is refused unless the network is named. The connection goes to the
    address that was checked, so that a second answer of the resolver changes nothing.
    """

    def __init__(
        self, url: str, private_networks: Sequence[Network] = (), ca_file: str | None = None, find: Resolve = resolve
    ) -> None:
        parts, port = _split(url)
        self.host = parts.hostname or ""
        self.shown = f"{parts.scheme}://{self.host}"  # a path may contain a token
        self._port = port or PORTS.get(parts.scheme, 0)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._is_local = self.host == "localhost" or _is_loopback(self.host)
        if parts.scheme != "https" and not (parts.scheme == "http" and self._is_local):
            raise UsageError(f"{self.shown}: a webhook needs https; http is allowed to this machine only")
        self._netloc = parts.netloc
        self._networks = tuple(private_networks)
        self._find = find
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None

    def post(self, headers: Mapping[str, str], body: bytes, clock: Clock, seconds: float) -> Answer:
        """Post once; everything together takes at most so many seconds after the name is resolved."""
        addresses = self._allowed()
        ends_at = clock.monotonic() + seconds

        def left() -> float:
            remaining = ends_at - clock.monotonic()
            if remaining <= 0:
                raise TimeoutError
            return remaining

        lines = {"Host": self._netloc, "Content-Length": str(len(body)), "Connection": "close", **headers}
        head = "".join((f"POST {self._path} HTTP/1.1\r\n", *(f"{name}: {lines[name]}\r\n" for name in lines), "\r\n"))
        try:
            with self._connected(addresses, left) as connection:
                connection.settimeout(left())
                connection.sendall(head.encode("ascii") + body)
                response = HTTPResponse(_Limited(connection, left), method="POST")  # type: ignore[arg-type]
                try:
                    response.begin()
                    return Answer(response.status, response.getheader("Retry-After"))
                finally:
                    response.close()
        except ssl.SSLCertVerificationError as error:
            raise SinkUnavailable(f"{self.shown}: its certificate is not trusted: {error.verify_message}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise SinkUnavailable(f"{self.shown} did not answer: {type(error).__name__}") from error

    def _allowed(self) -> list[str]:
        try:
            found = self._find(self.host, self._port)
        except OSError as error:
            raise SinkUnavailable(f"{self.shown}: its name cannot be resolved") from error
        allowed = [one for one in found if self._allows(_plain(ip_address(one.partition("%")[0])))]
        if not allowed:
            raise SinkRefused(
                f"{self.shown} is at {', '.join(found)}; name its network in private_networks to allow this"
            )
        return allowed

    def _allows(self, address: Address) -> bool:
        if self._is_local:
            return address.is_loopback
        return (address.is_global and not address.is_multicast) or any(
            address in network for network in self._networks if network.version == address.version
        )

    def _connected(self, addresses: Sequence[str], left: Callable[[], float]) -> socket.socket:
        *others, last = addresses
        for address in others:
            try:
                return self._connect(address, left() / 2)
            except ssl.SSLError:
                raise
            except OSError:
                continue
        return self._connect(last, left())

    def _connect(self, address: str, seconds: float) -> socket.socket:
        plain = socket.create_connection((address, self._port), timeout=seconds)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


class _Limited:
    """A socket as HTTPResponse needs it: every read has only the time that is left for all of them."""

    def __init__(self, connection: socket.socket, left: Callable[[], float]) -> None:
        self._incoming = _Incoming(connection, left)

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode
        return io.BufferedReader(self._incoming)


class _Incoming(io.RawIOBase):
    def __init__(self, connection: socket.socket, left: Callable[[], float]) -> None:
        self._connection = connection
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._left())
        return self._connection.recv_into(buffer)


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not url.isascii() or not url.isprintable() or " " in url or not parts.hostname or "@" in parts.netloc:
        raise UsageError("a webhook's url must be an address like https://erp.example/invoices, without a password")
    return parts, port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _plain(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
