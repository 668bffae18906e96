"""What a reply means where its call gives it no meaning of its own: refused, unavailable, or not the service's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from easytracking_sync.errors import CallFailed, JobLost, Refused, ServiceUnavailable
from easytracking_sync.remote.http_client import Reply

_ABOUT_THE_MOMENT: Final = {401, 407, 408, 425, 429}
_PAGES: Final = {"text/html", "application/xhtml+xml"}
_NO_PARCELS: Final = {*_PAGES, "application/json", "application/problem+json"}


def refuse(reply: Reply) -> NoReturn:
    """Refused for 400 and 403, and for another 4xx if the service itself says so (in JSON); else ServiceUnavailable.

    A bare 404 may be a proxy, or a wrong address: no document is to be blamed for it.
    """
    status = reply.status
    in_json = reply.media_type.endswith("json") and 400 <= status < 500 and status not in _ABOUT_THE_MOMENT
    if status in {400, 403} or in_json:
        said = reply.error_text()
        raise Refused(reply.problem(f"refused ({status}){_in_quotes(said)}"), status=status, reply=said)
    raise unavailable(reply)


def unavailable(reply: Reply) -> ServiceUnavailable:
    """The error for a status that says nothing about what was asked; CallFailed where it may be the cause.

    A service that is down says 503.
    """
    status, pause = reply.status, reply.retry_after
    if 300 <= status < 400:
        text = f"redirected ({status}) to {reply.target}, which is never followed; check the addresses and the proxy"
    elif status in {404, 405}:
        text = f"there is no such call ({status}){quoted(reply)}; check the addresses and the route"
    elif status == 407:
        text = "the proxy asks for a user and a password (407); check proxy"
    elif status == 429:
        text = f"too many requests (429){quoted(reply)}"
    elif status >= 500:
        text = f"the service failed ({status}){quoted(reply)}"
    else:
        text = f"an answer that is not expected ({status}){quoted(reply)}"
    kind = CallFailed if status >= 500 and status != 503 else ServiceUnavailable
    return kind(reply.problem(text), retry_after=pause)


def expect_no_page(reply: Reply) -> None:
    """ServiceUnavailable for a success that is a web page: it is not the service that speaks."""
    if reply.media_type in _PAGES:
        text = f"a web page instead of the service's answer ({reply.status}){quoted(reply)}"
        raise ServiceUnavailable(reply.problem(text), retry_after=reply.retry_after)


def quoted(reply: Reply) -> str:
    """What the service said, to be put into a sentence."""
    return _in_quotes(reply.error_text())


def _in_quotes(said: str) -> str:
    return f' and said "{said}"' if said else ""


def receive_parcel(reply: Reply, sink: Callable[[bytes], object], most_bytes: int) -> int:
    """A parcel's body into the sink; its bytes. JobLost for anything but a whole body within bounds.

    A page may not have reset the job, but that cannot be known, and to reserve again is safe.
    """
    if reply.status != 200:
        raise JobLost(reply.problem(f"a success without a parcel ({reply.status}); its documents are reserved again"))
    if reply.media_type in _NO_PARCELS:
        text = f"{reply.media_type} instead of a parcel{quoted(reply)}; its documents are reserved again"
        raise JobLost(reply.problem(text))
    too_large = JobLost(reply.problem(f"the parcel is larger than {most_bytes} bytes"))
    if (reply.declared_bytes or 0) > most_bytes:
        raise too_large
    count = 0
    for piece in reply.pieces(JobLost):
        count += len(piece)
        if count > most_bytes:
            raise too_large
        sink(piece)
    if not count:
        raise JobLost(reply.problem("an empty parcel; its documents are reserved again"))
    return count
