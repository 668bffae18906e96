"""What the vendor publishes: the four environments' addresses (section 2) and the login's constants (section 3).

Standard library only, so that both the settings and the client may lean on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Environment:
    """Where one Easy Tracking lives; both are https addresses without a trailing slash."""

    base_url: str
    auth_base_url: str


ENVIRONMENTS: Mapping[str, Environment] = MappingProxyType(
    {
        "varhub-production": Environment("https://servizi.varhub.it", "https://isentry.varhub.it"),
        "varhub-staging": Environment("https://servizitest.varhub.it", "https://isentrytest.varhub.it"),
        "ditech-production": Environment(
            "https://servizi.intermediario.ditechonline.it", "https://isentry.intermediario.ditechonline.it"
        ),
        "ditech-staging": Environment(
            "https://servizi.intermediariotest.ditechonline.it", "https://isentry.intermediariotest.ditechonline.it"
        ),
    }
)
"""The names an account's `environment` may take."""

ROUTE = "v10"
"""The route this program was written for."""

API_NAME = "openBusiness.scope.serviziweb.api"
CLIENT_NAME = "openBusiness.client.serviziweb.api"
CLIENT_SECRET = "uKNtPmq49yjLkaYv"  # noqa: S105 - printed in the vendor's document for every customer alike
