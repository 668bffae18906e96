"""The Easy Tracking web service, and nothing else: one method a call, and the parcel proven by itself.

Everything that goes wrong leaves this room as one of `easytracking_sync.errors`; nothing of httpx, JSON or zip does.
"""

from easytracking_sync.remote.client import EasyTracking, Pending, Received
from easytracking_sync.remote.document_list import Listing, ListQuery, read_listing
from easytracking_sync.remote.endpoint import Endpoint
from easytracking_sync.remote.http_client import CallEnded
from easytracking_sync.remote.parcel import Parcel, ParcelFile, ParcelLimits, inspect_parcel, open_file

__all__ = [
    "CallEnded",
    "EasyTracking",
    "Endpoint",
    "ListQuery",
    "Listing",
    "Parcel",
    "ParcelFile",
    "ParcelLimits",
    "Pending",
    "Received",
    "inspect_parcel",
    "open_file",
    "read_listing",
]
