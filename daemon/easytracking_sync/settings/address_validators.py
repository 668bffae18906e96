"""Validators of addresses: of the service, a proxy, the database, alert channels, and of this machine."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pydantic import SecretStr

from easytracking_sync.settings.validators import refuse, secret


def _split(value: object, expected: str) -> SplitResult:
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        refuse(expected)
    try:
        parts = urlsplit(value)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or parts.scheme not in ("http", "https"):
        refuse(expected)
    return parts


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(value: object) -> str:
    """A base URL, with its host in lower case and without a default port or final slash; may be empty."""
    if value == "":
        return ""
    parts = _split(value, "an address like https://servizi.varhub.it")
    if "@" in parts.netloc or parts.query or parts.fragment:
        refuse("an address without user name, password, query or fragment")
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host):
        refuse("an https address; http is allowed for loopback addresses only")
    own_port = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, own_port) else f":{parts.port}"
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}{port}{parts.path.rstrip('/')}"


def proxy(value: object) -> SecretStr:
    """The URL of a proxy, possibly with a password; may be empty."""
    given = secret(value)
    if given.get_secret_value():
        _split(given.get_secret_value(), "a proxy address like http://proxy.example:3128")
    return given


def database_url(value: object) -> SecretStr:
    """An SQLAlchemy URL of SQLite or PostgreSQL, possibly with a password."""
    given = secret(value)
    scheme, separator, rest = given.get_secret_value().partition("://")
    if scheme == "sqlite" and rest.startswith("/"):
        file = rest[1:]
        if not file or file.startswith((":memory:", "file:")) or "?" in file:
            refuse("sqlite:/// and the path of a file, without options; databases in memory are not supported")
    elif scheme in {"postgres", "postgresql"} or (
        scheme.startswith("postgresql+") and scheme != "postgresql+psycopg"
    ):
        refuse("an address that begins with postgresql+psycopg://")
    elif scheme != "postgresql+psycopg" or not separator or not rest:
        refuse(
            "sqlite:/// and a path (four slashes if it is absolute), or postgresql+psycopg://user:password@host/name"
        )
    return given


def listen(value: object) -> str:
    """An IP address of this machine and a port, as ADDRESS:PORT; may be empty."""
    expected = 'an address and a port like "127.0.0.1:8464" or "[::1]:8464", or empty to serve nothing'
    if value == "":
        return ""
    found = re.fullmatch(
        r"(\[[0-9a-fA-F:.]+\]|[0-9.]+|localhost):([0-9]{1,5})", value if isinstance(value, str) else ""
    )
    if found is None or int(found[2]) > 65535:
        refuse(expected)
    if found[1] != "localhost":
        try:
            version = ip_address(found[1].strip("[]")).version
        except ValueError:
            version = None
        if version != (6 if found[1].startswith("[") else 4):
            refuse(expected)
    return found[0]


def channels(value: object) -> tuple[SecretStr, ...]:
    """apprise URLs, each a secret; in text they are separated by blanks or newlines."""
    given = value.split() if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)):
        refuse('a list of addresses like ["mailto://user:password@example.com"]')
    urls = tuple(secret(one) for one in given)
    if not all(re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+", url.get_secret_value()) for url in urls):
        refuse('a list of addresses like ["mailto://user:password@example.com"]')
    return urls


def heartbeat(value: object) -> SecretStr:
    """The http or https address of a dead-man monitor; may be empty."""
    given = secret(value)
    if given.get_secret_value():
        _split(given.get_secret_value(), "an address like https://monitor.example/ping/…")
    return given


def token(value: object) -> SecretStr:
    """A bearer token; may be empty."""
    given = secret(value)
    text = given.get_secret_value()
    if text and not re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,}", text):
        refuse("at least 16 letters, digits and . _ ~ + / = -; `openssl rand -hex 32` makes one")
    return given


def host_names(value: object) -> tuple[str, ...]:
    """Host names without ports, in lower case; in text separated by commas."""
    names = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(
        isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,253}|\[[0-9a-fA-F:.]+\]", name) for name in names
    ):
        refuse('a list of host names without ports, like ["monitor.example"]')
    return tuple(name.lower() for name in names)


def passwords_in(url: str) -> Iterator[str]:
    """The password of an address and the passwords in its query, as written and decoded."""
    rest, _, query = url.partition("://")[2].partition("?")
    written = rest.rpartition("@")[0].partition(":")[2]
    yield from (written, unquote(written))
    for name, value in parse_qsl(query):
        if "passw" in name:
            yield from (value, quote(value))
