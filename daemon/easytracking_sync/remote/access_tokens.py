"""The access token shared by all threads of an account (vendor's document, section 3)."""

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

RENEW_BEFORE_SECONDS: Final = 60.0
"""A token is renewed this long before its `exp`, or at four fifths of its life if that is later."""

LEAST_LIFE_SECONDS: Final = 60.0
"""A token with a shorter life is used until a 401: the clocks disagree, or renewing it early does not pay.

Early renewals are therefore at least 48 seconds apart.
"""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """A bearer token. Compared by identity: two logins may return the same text."""

    text: str = field(repr=False)
    renew_at: float | None  # seconds since 1970, by our clock


class Tokens:
    """Logs in when a token is needed. One thread logs in; the others wait and share its token or its error.

    `ask` performs the login and returns the token's text. Its errors escape unchanged.
    """

    def __init__(self, ask: Callable[[], str], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Token | None = None
        self._logins_ended = 0
        self._failure: CredentialsRefused | ServiceUnavailable | None = None

    def current(self) -> Token:
        """A token that is not due for renewal by our clock."""
        held = self._held
        return held if held is not None and not self._is_due(held) else self._log_in(held)

    def renewed(self, refused: Token | None) -> Token:
        """A token other than the refused one; logs in only if no other thread has done so since."""
        return self._log_in(refused)

    def fresh(self) -> Token:
        """The token of a new login."""
        return self._log_in(self._held)

    def _log_in(self, old: Token | None) -> Token:
        before = self._logins_ended
        with self._lock:
            held = self._held
            if held is not None and held is not old and not self._is_due(held):
                return held
            if self._logins_ended != before and self._failure is not None:
                raise _copy(self._failure)
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
        return expiry - min(RENEW_BEFORE_SECONDS, life / 5) if life >= LEAST_LIFE_SECONDS else None

    def _is_due(self, token: Token) -> bool:
        return token.renew_at is not None and self._clock.now().timestamp() >= token.renew_at


def _copy(failure: CredentialsRefused | ServiceUnavailable) -> CredentialsRefused | ServiceUnavailable:
    """The same failure for another thread: threads must not share a raised exception."""
    if isinstance(failure, ServiceUnavailable):
        return ServiceUnavailable(str(failure), retry_after=failure.retry_after)
    return CredentialsRefused(str(failure))


def read_token(body: bytes) -> str | None:
    """The token in a login's answer, with or without double quotes; None if there is none."""
    text = body.removeprefix(BOM).decode("latin-1").strip()
    if text[:1] == '"':
        try:
            text = str(read_value(text.encode("latin-1"))).strip()
        except ValueError:
            return None
    return text if _TOKEN.fullmatch(text) else None


def read_expiry(token: str) -> float | None:
    """The `exp` of a readable JWT in seconds since 1970, not verified; None if there is none."""
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
