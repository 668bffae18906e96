"""Signatures of webhooks by Standard Webhooks 1.0.0: HMAC-SHA256 of `id.timestamp.body`. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from easytracking_sync.errors import UsageError

PREFIX = "whsec_"
LEAST_BYTES = 24
MOST_BYTES = 64


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret's bytes, which are never shown."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> SigningSecret:
        """From `whsec_` and base64 of 24 to 64 bytes; UsageError without the secret itself."""
        try:
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not text.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
            raise UsageError(
                f"a webhook secret must be {PREFIX} and the base64 of {LEAST_BYTES} to {MOST_BYTES} random bytes; "
                f"make one with: echo {PREFIX}$(openssl rand -base64 32)"
            )
        return cls(key)


def signatures(message_id: str, timestamp: int, body: bytes, secrets: Sequence[SigningSecret]) -> str:
    """The header `webhook-signature`: one signature per secret, as a receiver may know the old or the new one."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(
        f"v1,{base64.b64encode(hmac.new(secret.key, signed, hashlib.sha256).digest()).decode()}" for secret in secrets
    )
