"""Copies blobs from one store to another, and empties a store; the archive stays complete at every moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa

from easytracking_sync.archive.blobs import Blobs, BlobSource
from easytracking_sync.archive.database import Database
from easytracking_sync.archive.tables import file
from easytracking_sync.errors import StorageFault

PAGE = 64
MOST_NAMED = 20


@dataclass(slots=True)
class CopiedBlobs:
    """Progress of a copy: the blobs that files refer to, and those that are intact in neither store."""

    blobs: int = 0
    bytes: int = 0
    copied: int = 0
    rotten: int = 0
    named: list[str] = field(default_factory=list)  # the first of the rotten blobs


def referenced(database: Database) -> Iterator[Mapping[str, int]]:
    """Every blob that a file row refers to, with its size, in pages."""
    query = sa.select(file.c.sha256, sa.func.max(file.c.size).label("size")).group_by(file.c.sha256)
    for rows in database.pages(query, file.c.sha256, size=PAGE):
        yield {row.sha256: int(row.size) for row in rows}


def referenced_total(database: Database) -> tuple[int, int]:
    """The number of blobs that file rows refer to, and their bytes."""
    each = sa.select(sa.func.max(file.c.size).label("size")).group_by(file.c.sha256).subquery()
    with database.read() as connection:
        row = connection.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(each.c.size), 0))).one()
    return int(row[0]), int(row[1])


def copy_blobs(
    database: Database,
    source: Blobs,
    target: Blobs,
    *,
    has_room: Callable[[int], bool],
    on_step: Callable[[CopiedBlobs], object] = lambda _: None,
) -> CopiedBlobs:
    """Copy every blob that a file row refers to and that is not intact in `target`; read each back. Removes nothing.

    May be killed and repeated at any moment: blobs intact in the target are hashed, synced and left. A blob that is
    intact in neither store counts as rotten. StorageFault if `has_room` is False for the bytes to copy.
    """
    done = CopiedBlobs()
    for page in referenced(database):
        there = target.whole(page)
        absent = page.keys() - there
        good = source.whole(absent)
        weight = sum(page[sha256] for sha256 in good)
        if weight and not has_room(weight):
            raise StorageFault(
                "not enough free space for the copy; free some space and repeat: copied blobs are kept"
            )
        wanted = sorted(good | there)  # a run that was killed may have left intact blobs that it had not synced
        target.put(BlobSource(sha256, page[sha256], partial(source.read, sha256)) for sha256 in wanted)
        unproven = good - target.whole(good)
        if unproven:
            raise StorageFault(f"blob {min(unproven)} cannot be read back after copying; check the disk")
        lost = sorted(absent - good)
        done.blobs += len(page)
        done.bytes += sum(page.values())
        done.copied += len(good)
        done.rotten += len(lost)
        done.named += lost[: MOST_NAMED - len(done.named)]
        on_step(done)
    return done


def remove_all(blobs: Blobs, on_step: Callable[[int], object] = lambda _: None) -> int:
    """Remove every blob of a store that is no longer read from; returns how many. Repeating is safe."""
    removed = 0
    for page in blobs.names():
        blobs.remove(page)
        removed += len(page)
        on_step(removed)
    return removed
