"""Tokens: readable JWTs, signed with a key derived from the seed, so that checking needs no state (section 3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any


class Tokens:
    """Issues and checks tokens. `revoke` invalidates all tokens issued so far."""

    def __init__(self, seed: int, life_seconds: float) -> None:
        self._key = hashlib.sha256(f"{seed}/token".encode()).digest()
        self._life = life_seconds
        self._issued = 0
        self._generation = 0

    def issue(self, username: str, now: datetime) -> str:
        self._issued += 1
        claims = {
            "iss": "easytracking-simulator",
            "aud": "openBusiness.scope.serviziweb.api",
            "sub": username,
            "jti": f"{self._generation}-{self._issued}",
            "generation": self._generation,
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(now.timestamp() + self._life),
        }
        head = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        return f"{head}.{self._signature(head)}"

    def username(self, authorization: str, now: datetime) -> str:
        """The user of the valid token in an Authorization header; empty if there is none."""
        scheme, _, token = authorization.partition(" ")
        head, _, signature = token.strip().rpartition(".")
        if scheme.lower() != "bearer" or not hmac.compare_digest(signature.encode(), self._signature(head).encode()):
            return ""
        claims = _decoded(head.partition(".")[2])
        if claims.get("generation") != self._generation or now.timestamp() >= claims.get("exp", 0):
            return ""
        return str(claims.get("sub", ""))

    def revoke(self) -> None:
        self._generation += 1

    def _signature(self, head: str) -> str:
        return _text(hmac.digest(self._key, head.encode(), "sha256"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _encoded(value: dict[str, Any]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _decoded(text: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
