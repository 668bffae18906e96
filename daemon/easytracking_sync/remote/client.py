"""One method a call (skeleton; signatures are final)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import tzinfo
from types import TracebackType
from typing import Self

import httpx

from easytracking_sync.effects import Clock
from easytracking_sync.remote.endpoint import Endpoint
from easytracking_sync.remote.wire import ROME, Listing, ListQuery
from easytracking_sync.terms import FileType


@dataclass(frozen=True, slots=True)
class Pending:
    """The job is still being prepared; `retry_after` in seconds if the service named a pause."""

    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """The body came to its end; `count` bytes went to the sink. Only the parcel itself proves that it is whole."""

    count: int


class EasyTracking:
    def __init__(
        self,
        endpoint: Endpoint,
        *,
        account: str,
        clock: Clock,
        user_agent: str,
        transport: httpx.BaseTransport | None = None,
        zone: tzinfo = ROME,
    ) -> None:
        raise NotImplementedError

    def log_in(self) -> None:
        raise NotImplementedError

    def list_documents(self, query: ListQuery) -> Listing:
        raise NotImplementedError

    def reserve(self, doc_ids: Collection[int]) -> str:
        raise NotImplementedError

    def reserve_types(self, doc_ids: Collection[int], types: frozenset[FileType]) -> str:
        raise NotImplementedError

    def fetch(self, job_id: str, sink: Callable[[bytes], object], most_bytes: int) -> Pending | Received:
        raise NotImplementedError

    def set_phase_1(self, doc_ids: Collection[int]) -> None:
        raise NotImplementedError

    def clear_phase_1(self, doc_ids: Collection[int]) -> None:
        raise NotImplementedError

    def set_phase_2(self, doc_ids: Collection[int]) -> None:
        raise NotImplementedError

    def clear_phase_2(self, doc_ids: Collection[int]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
