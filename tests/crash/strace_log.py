"""Reads from a strace log what a process wrote, synced and removed, and what remains on disk after a power cut."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random

CALLS = "openat,write,pwrite64,fsync,fdatasync,ftruncate,unlink"
LINE = re.compile(r"^(?P<thread>\d+) +(?:<\.\.\. )?(?P<call>\w+)(?P<rest>.*)$")
DESCRIPTOR = re.compile(r"^\((?:AT_FDCWD|\d+)<(?P<path>(?:\\x[0-9a-f]{2})*)>(?:\(deleted\))?")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
TAIL = re.compile(r"(?P<numbers>(?:, \d+)*)\) += (?P<result>-?\d+)")


class Did(Enum):
    """What one call did."""

    MADE = "made"
    WROTE = "wrote"
    CUT = "cut"  # ftruncate
    SYNCED = "synced"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Act:
    """One call that came to an end. `at` is the offset, or the new length."""

    did: Did
    path: Path
    at: int = 0
    content: bytes = field(default=b"", repr=False)


def record(command: Sequence[str], tape: Path) -> None:
    """Run the command under strace; CalledProcessError if it fails."""
    tracer = ["strace", "-f", "-y", "-xx", "-s", "100000", "-e", f"trace={CALLS}", "-o", str(tape)]
    subprocess.run([*tracer, *command], check=True, timeout=120, capture_output=True)


def acts(tape: Path, folder: Path) -> Iterator[Act]:
    """What happened in this folder, in its order; calls that were interrupted by others count when they returned."""
    begun: dict[str, str] = {}
    appended: dict[Path, int] = {}
    with tape.open(encoding="ascii") as lines:
        for line in lines:
            match = LINE.match(line)
            if match is None:
                continue
            thread, rest = match["thread"], match["rest"]
            if rest.rstrip().endswith("<unfinished ...>"):
                begun[thread] = rest.rstrip().removesuffix("<unfinished ...>").rstrip()
                continue
            if rest.startswith(" resumed>"):
                rest = begun.pop(thread) + rest.removeprefix(" resumed>")
            act = _act(match["call"], rest, appended)
            if act is not None and act.path.is_relative_to(folder):
                yield act


def _act(call: str, rest: str, appended: dict[Path, int]) -> Act | None:
    tail = TAIL.search(rest)
    if tail is None or int(tail["result"]) < 0:
        return None
    numbers = [int(number) for number in re.findall(r"\d+", tail["numbers"])]
    texts = [_bytes(text) for text in TEXT.findall(rest)]
    opened = DESCRIPTOR.match(rest)
    path = Path(_bytes(opened["path"]).decode()) if opened else Path()
    act = None
    match call:
        case "openat" if "O_CREAT" in rest:
            act = Act(Did.MADE, Path(texts[0].decode()))
        case "unlink":
            act = Act(Did.REMOVED, Path(texts[0].decode()))
        case "fsync" | "fdatasync":
            act = Act(Did.SYNCED, path)
        case "ftruncate":
            act = Act(Did.CUT, path, numbers[-1])
        case "pwrite64":
            act = Act(Did.WROTE, path, numbers[-1], texts[0][: int(tail["result"])])
        case "write":
            at = appended.get(path, 0)
            appended[path] = at + int(tail["result"])
            act = Act(Did.WROTE, path, at, texts[0][: int(tail["result"])])
    return act


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class Disk:
    """Files as they are, and as they surely are; names likewise."""

    seen: dict[Path, bytearray] = field(default_factory=dict)
    durable: dict[Path, bytes] = field(default_factory=dict)  # of each file, what was synced, whatever its name
    names: set[Path] = field(default_factory=set)  # those that were there when their folder was synced
    unsynced: dict[Path, list[Act]] = field(default_factory=dict)

    def do(self, act: Act) -> None:
        """One act more."""
        match act.did:
            case Did.MADE:
                if act.path not in self.seen:
                    self.seen[act.path] = bytearray()
                    self.durable[act.path] = b""
                    self.unsynced[act.path] = []
            case Did.REMOVED:
                self.seen.pop(act.path, None)
            case Did.SYNCED if act.path in self.seen:
                self.durable[act.path] = bytes(self.seen[act.path])
                self.unsynced[act.path] = []
            case Did.SYNCED:  # a folder
                self.names = {path for path in self.names if path.parent != act.path}
                self.names |= {path for path in self.seen if path.parent == act.path}
            case _:
                _apply(self.seen[act.path], act)
                self.unsynced[act.path].append(act)

    def after_a_power_cut(self, dice: Random | None) -> dict[Path, bytes]:
        """What may be found: nothing unsynced, or of what was not synced whatever the dice say."""
        names = set(self.names)
        if dice is not None:
            for path in sorted(self.names ^ set(self.seen)):
                if dice.random() < 0.5:
                    names ^= {path}
        found: dict[Path, bytes] = {}
        for path in names:
            content = bytearray(self.durable.get(path, b""))
            for act in self.unsynced.get(path, ()) if dice is not None else ():
                if dice is not None and dice.random() < 0.5:
                    _apply(content, act)
            found[path] = bytes(content)
        return found


def _apply(content: bytearray, act: Act) -> None:
    if act.did is Did.CUT:
        del content[act.at :]
        content.extend(bytes(act.at - len(content)))
        return
    content.extend(bytes(max(0, act.at - len(content))))
    content[act.at : act.at + len(act.content)] = act.content
