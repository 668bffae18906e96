"""List the tests of faults and invariants: `python docs/draw_matrix.py` rewrites the tables of docs/reliability.md.

A test of row 7 is called `test_row_07_…` (one of rows 8 and 9 `test_row_08_09_…`). A test of an invariant begins its
docstring with the invariant's name in capitals, or with several of them between commas. `tests/docs` fails if the
page names a test that does not exist, or if a row or an invariant has no test.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("reliability.md")
BEGIN, END = "<!-- drawn by docs/draw_matrix.py -->", "<!-- end of the drawing -->"

ROWS: Mapping[int, str] = {
    1: "a list that times out, fails, is truncated, is an HTML page or not JSON",
    2: "401 on any call",
    3: "403 on reserving or acknowledging",
    4: "413, or a total above the number of elements",
    5: "429 and 503; Retry-After in seconds, as a date, or absurd",
    6: "a reservation whose answer is lost",
    7: "202 without end; a job older than a day",
    8: "a parcel that is lost or breaks off; a crash while it is spooled",
    9: "a truncated body without a length; a truncated gzip",
    10: "a parcel of another batch; missing, extra or duplicate ids; no index",
    11: "zips that are damaged, encrypted, bombs, overlapping, or with hostile names",
    12: "a full disk and I/O errors at write, fsync, rename",
    13: "a power cut at any fsync",
    14: "a database that is locked, unreachable or restarted",
    15: "a COMMIT whose answer is lost",
    16: "a crash between the commit and the acknowledgement",
    17: "an acknowledgement whose answer is lost",
    18: "an acknowledged document is listed again",
    19: "a docId whose fields or files change",
    20: "clock changes, summer time, suspend",
    21: "a lease holder that freezes for longer than its lease",
    22: "a crash during the recovery",
    23: "stored files that are damaged or missing",
    24: "a crash during a migration",
    25: "SIGTERM in each state; a log that cannot be written",
    26: "one document, or one second of the list, that the service always fails over",
}

INVARIANTS = (
    "NO-ACK-BEFORE-DURABLE",
    "NO-LOSS",
    "BYTE-IDENTITY",
    "SINGLE-COPY",
    "ACK-SUBSET",
    "ACK-LIVENESS",
    "RAW-FIRST",
    "NO-OVERWRITE",
    "NO-POISON",
    "MONOTONE-STATE",
    "FENCED",
    "FAIL-STOP",
    "CRASH-IDEMPOTENT",
    "NO-SILENT-DEATH",
    "CLOCK-SAFE",
    "BOUNDED",
    "NO-CROSS-ACCOUNT",
    "NO-SECRET-LEAK",
    "DETERMINISM",
)

_ROW = re.compile(r"test_row((?:(?:_and)?_[0-9]{2})+)_")
_NAMED = re.compile(rf"(?:{'|'.join(INVARIANTS)})(?:, (?:{'|'.join(INVARIANTS)}))*(?![-\w])")


def tests() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every test with its file, in the files' order."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        name = path.relative_to(ROOT / "tests").as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield name, node


def rows() -> Mapping[int, list[str]]:
    """The files of the tests that bear a row's number."""
    found: dict[int, list[str]] = defaultdict(list)
    for file, test in tests():
        numbers = _ROW.match(test.name)
        for number in re.findall(r"[0-9]{2}", numbers[1]) if numbers else ():
            found[int(number)].append(file)
    return found


def invariants() -> Mapping[str, list[str]]:
    """The files of the tests that bear an invariant's name."""
    found: dict[str, list[str]] = defaultdict(list)
    for file, test in tests():
        named = _NAMED.match(ast.get_docstring(test) or "")
        for name in named[0].split(", ") if named else ():
            found[name].append(file)
    return found


def drawing() -> str:
    """Both tables, as Markdown."""
    by_row, by_name = rows(), invariants()
    lines = ["| row | fault | tests, in `tests/` |", "|---|---|---|"]
    lines += [f"| {number} | {what} | {_files(by_row[number])} |" for number, what in ROWS.items()]
    lines += ["", "| invariant | tests, in `tests/` |", "|---|---|"]
    lines += [f"| {name} | {_files(by_name[name])} |" for name in INVARIANTS]
    return "\n".join(lines)


def _files(files: list[str]) -> str:
    return ", ".join(f"`{file}`" for file in dict.fromkeys(files))


def page_with(tables: str, page: str) -> str:
    """The page with its tables replaced."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{tables}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page_with(drawing(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
