"""Which path is which call; what the document does not name is not there."""

from __future__ import annotations

import re
from collections.abc import Mapping

from easytracking_simulator.calls import PHASE
from easytracking_simulator.faults import Call
from easytracking_simulator.http_messages import Reply, bare

TOKEN_PATH = "/api/Token/AccessToken"  # noqa: S105  a path
ROUTE = "/api/v10"
PATHS: Mapping[str, tuple[str, Call]] = {
    TOKEN_PATH: ("POST", Call.TOKEN),
    f"{ROUTE}/DownloadInvoices/passive-invoices": ("GET", Call.LIST),
    f"{ROUTE}/DownloadInvoices/jobs": ("POST", Call.JOBS),
    f"{ROUTE}/DownloadInvoices/jobs-select-type": ("POST", Call.JOBS_SELECT_TYPE),
    **{f"{ROUTE}/PassiveInvoices/{call}": ("POST", call) for call in PHASE},
}
JOB_PATH = re.compile(re.escape(f"{ROUTE}/DownloadInvoices/jobs/") + "([^/]+)")


def route(method: str, path: str) -> tuple[Call, str] | Reply:
    """The call and, for a fetch, the job's id; 404 and 405 where there is none."""
    found = PATHS.get(path)
    job_id = ""
    if found is None and (match := JOB_PATH.fullmatch(path)):
        found, job_id = ("GET", Call.FETCH), match[1]
    if found is None:
        return bare(404)
    allowed, call = found
    return (call, job_id) if method == allowed else Reply(405, (("Allow", allowed),))
