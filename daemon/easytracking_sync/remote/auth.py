"""One token for all threads of an account (vendor's document, section 3)."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from easytracking_sync.effects import Clock
from easytracking_sync.errors import CredentialsRefused, ServiceUnavailable
from easytracking_sync.lenient_json import BOM, read_value

MOST_MARGIN_SECONDS: Final = 60.0
"""A token is renewed this long before its `exp`, or at four fifths of its life where that comes later."""

LEAST_LIFE_SECONDS: Final = 60.0
"""Below it our clock and the service's do not agree, or the token is too short-lived to be worth renewing ahead:
only a 401 then says that it is over. Renewals ahead are therefore at least 48 seconds apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A bearer token; compared by identity, since two logins may give the same text."""

    text: str = field(repr=False)
    renew_at: float | None  # seconds since 1970, by our clock


class Tokens:
    """Logs in when a token is needed: one thread does, the others wait and share what it got, be it an error.

    `ask` performs the login and gives the token's text. Whatever it raises escapes unchanged.
    """

    def __init__(self, ask: Callable[[], str], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Token | None = None
        self._logins_ended = 0
        self._failure: CredentialsRefused | ServiceUnavailable | None = None

    def current(self) -> Token:
        """A token that is not due for renewal, as far as our clock knows."""
        held = self._held
        return held if held is not None and not self._is_due(held) else self._log_in(held)

    def renewed(self, refused: Token | None) -> Token:
        """Another token than the one that was refused; logs in only if no other thread has done so since."""
        return self._log_in(refused)

    def fresh(self) -> Token:
        """A login in any case."""
        return self._log_in(self._held)

    def _log_in(self, old: Token | None) -> Token:
        before = self._logins_ended
        with self._lock:
            held = self._held
            if held is not None and held is not old and not self._is_due(held):
                return held
            if self._logins_ended != before and self._failure is not None:
                raise _again(self._failure)
            self._failure = None
            try:
                text = self._ask()
            except (CredentialsRefused, ServiceUnavailable) as failure:
                self._failure = failure
                raise
            finally:
                self._logins_ended += 1
            self._held = Token(text, self._renew_at(text))
            return self._held

    def _renew_at(self, text: str) -> float | None:
        expiry = read_expiry(text)
        if expiry is None:
            return None
        life = expiry - self._clock.now().timestamp()
        return expiry - min(MOST_MARGIN_SECONDS, life / 5) if life >= LEAST_LIFE_SECONDS else None

    def _is_due(self, token: Token) -> bool:
        return token.renew_at is not None and self._clock.now().timestamp() >= token.renew_at


def _again(failure: CredentialsRefused | ServiceUnavailable) -> CredentialsRefused | ServiceUnavailable:
    """The same failure for another thread; a raised exception belongs to the thread that raised it."""
    if isinstance(failure, ServiceUnavailable):
        return ServiceUnavailable(str(failure), retry_after=failure.retry_after)
    return CredentialsRefused(str(failure))


_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}", re.ASCII)


def read_token(body: bytes) -> str | None:
    """The token of section 3, with or without its double quotes; None where this is none."""
    text = body.removeprefix(BOM).decode("latin-1").strip()
    if text[:1] == '"':
        try:
            text = str(read_value(text.encode("latin-1"))).strip()
        except ValueError:
            return None
    return text if _TOKEN.fullmatch(text) else None


def read_expiry(token: str) -> float | None:
    """The `exp` of a readable JWT in seconds since 1970, unverified; None where there is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = read_value(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    return float(expiry) if abs(expiry) < 1e12 else None
