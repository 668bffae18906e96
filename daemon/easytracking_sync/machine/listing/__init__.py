"""Listing: asks the service which documents it has, window by window, and takes the answers in."""

from easytracking_sync.machine.listing.cycle import Cycle
from easytracking_sync.machine.listing.patience import Patience, PatientCycle, list_read_only
from easytracking_sync.machine.listing.scope import Scope, reception_times

__all__ = ["Cycle", "Patience", "PatientCycle", "Scope", "list_read_only", "reception_times"]
