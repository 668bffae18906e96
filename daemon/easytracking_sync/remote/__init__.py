"""The Easy Tracking web service: one method per call, and the inspection of parcels.

Every failure is raised as one of `easytracking_sync.errors`; nothing of httpx, JSON or zip escapes.
"""

from easytracking_sync.remote.api_client import EasyTracking, Pending, Received
from easytracking_sync.remote.document_list import DocumentList, ListQuery, read_document_list
from easytracking_sync.remote.http_client import CallEnded
from easytracking_sync.remote.parcel import Parcel, ParcelLimits, VerifiedFile, inspect_parcel, open_file

__all__ = [
    "CallEnded",
    "DocumentList",
    "EasyTracking",
    "ListQuery",
    "Parcel",
    "ParcelLimits",
    "Pending",
    "Received",
    "VerifiedFile",
    "inspect_parcel",
    "open_file",
    "read_document_list",
]
