"""The configuration: one frozen `Settings`, and `load_settings` that builds it."""

from easytracking_sync.settings.cron import cron_numbers
from easytracking_sync.settings.loading import DEFAULT_CONFIG, load_settings
from easytracking_sync.settings.model import Schedule, Settings
from easytracking_sync.settings.sections import (
    AccountSettings,
    Alerts,
    Database,
    Http,
    Language,
    Storage,
    StorageBackend,
    Sync,
)

__all__ = [
    "DEFAULT_CONFIG",
    "AccountSettings",
    "Alerts",
    "Database",
    "Http",
    "Language",
    "Schedule",
    "Settings",
    "Storage",
    "StorageBackend",
    "Sync",
    "cron_numbers",
    "load_settings",
]
