"""The vendor's published addresses (section 2) and login constants (section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Environment:
    """The addresses of one Easy Tracking service: https, without a final slash."""

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
"""The values of an account's `environment`."""

ROUTE = "v10"
"""The API version that this program was written for."""

API_NAME = "openBusiness.scope.serviziweb.api"
CLIENT_NAME = "openBusiness.client.serviziweb.api"
CLIENT_SECRET = "uKNtPmq49yjLkaYv"  # noqa: S105 - published in the vendor's document, the same for every customer
