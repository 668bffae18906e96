"""Hands one consignment to a place for files: the files first, the sidecar last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from easytracking_sync.deliver.consignment import Consignment, sidecar
from easytracking_sync.deliver.delivery import FileReceipt, Receipt
from easytracking_sync.deliver.sink import Put, PutSink
from easytracking_sync.errors import SinkRefused


def hand_over(
    sink: PutSink,
    consignment: Consignment,
    names: tuple[str, ...],
    content: Callable[[str], bytes],
    *,
    with_sidecar: bool,
) -> Receipt:
    """Put every file under its name from `naming.names`; `content` gives a file's bytes by its sha256.

    Repeating is safe and writes what is missing. The sidecar is the sign that all files are there. SinkRefused if a
    name holds other bytes; the errors of `put_new` and `content` otherwise.
    """
    *file_names, sidecar_name = names
    receipts = [
        _put(sink, name, content(file.sha256), file.sha256)
        for file, name in zip(consignment.files, file_names, strict=True)
    ]
    if with_sidecar:
        metadata = sidecar(consignment, tuple(file_names))
        receipts.append(_put(sink, sidecar_name, metadata, hashlib.sha256(metadata).hexdigest()))
    return Receipt(tuple(receipts))


def _put(sink: PutSink, name: str, content: bytes, sha256: str) -> FileReceipt:
    put = sink.put_new(name, content, sha256)
    if put is Put.OTHER:
        raise SinkRefused(
            f"{name} exists at the sink with other content; it was left as it is: move it away, then retry"
        )
    return FileReceipt(name, sha256, put)
