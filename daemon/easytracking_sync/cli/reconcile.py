"""`reconcile`: the completeness proof, and the repair of what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import click

from easytracking_sync.app import json_objects
from easytracking_sync.app.composition import chosen_accounts
from easytracking_sync.app.reconcile import Proof, compare
from easytracking_sync.app.repair import Repaired, repair
from easytracking_sync.archive.store import Archive
from easytracking_sync.cli import options, output
from easytracking_sync.cli.catch_up import tell_problems
from easytracking_sync.cli.exit_codes import CREDENTIALS, DONE, FINDINGS, STORAGE, UNFINISHED, exit_code, worst
from easytracking_sync.cli.gauge import gauge
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.option_types import DAY, require_order, require_past
from easytracking_sync.cli.progress import progress
from easytracking_sync.cli.runtime import Session, begin
from easytracking_sync.safe_text import visible

HEADS = ("ACCOUNT", "LISTED", "HOME", "MISSING", "UNMARKED", "NOT LISTED", "FILES", "SIZE", "ROTTEN")
MOST_SHOWN = 10


@click.command(
    epilog="""\b
LISTED: what the service has, in both phases. HOME: of it, what is stored here. MISSING: listed and
not home. UNMARKED: home, and the service does not know it. NOT LISTED: here, and the service has
let go of it, which is no fault. ROTTEN: stored files that are not what was stored.

Without --repair it changes nothing, here or at the service, and may run beside the service.
An account that does not answer for five minutes is given up.

\b
Examples:
  easytracking-sync reconcile
  easytracking-sync reconcile --account acme --from 2026-01-01 --to 2026-03-31
  easytracking-sync reconcile --repair

\b
Exit codes: 0 the proof holds, 2 wrong option, 3 findings are open, 4 credentials refused,
74 storage failed, 75 the comparison is not complete.""",
)
@options.ACCOUNTS
@click.option("--from", "start", metavar="DAY", type=DAY, help="Only what was received on this day or later.")
@click.option("--to", "end", metavar="DAY", type=DAY, help="Only what was received on this day or earlier.")
@click.option("--repair", "wants_repair", is_flag=True, help="Fetch what is missing or rotten, then compare again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an account.")
@click.pass_obj
def reconcile(
    invocation: Invocation,
    accounts: tuple[str, ...],
    start: date | None,
    end: date | None,
    *,
    wants_repair: bool,
    as_json: bool,
) -> int:
    """Compare the service's lists with the archive, hash every stored file, and say whether all is home and whole."""
    require_order(start, end, "--from and --to")
    session = begin(invocation)
    require_past(start, session.effects.clock)
    labels = chosen_accounts(session.settings, tuple(dict.fromkeys(label.lower() for label in accounts)))
    with session.archive() as archive:
        proofs = _compare(session, archive, labels, start, end)
        repaired = None
        if wants_repair and any(proof.has_findings for proof in proofs):
            if not as_json:
                _show(proofs)
            repaired = _repair(session, archive, proofs, start, end, as_json=as_json)
            proofs = _compare(session, archive, labels, start, end)
    if as_json:
        for proof in proofs:
            click.echo(json_objects.line(_fields(proof)))
    else:
        _show(proofs)
    for line in _problems(proofs):
        click.echo(f"{NAME}: {visible(line)}", err=True)
    return worst(*map(_code, proofs), DONE if repaired is None else _code_of_repair(repaired))


def _compare(
    session: Session, archive: Archive, labels: Sequence[str], start: date | None, end: date | None
) -> list[Proof]:
    with gauge(session.effects.clock) as shown:

        def show(proof: Proof) -> None:
            hashed = f", {output.count(proof.files, 'file')} hashed" if proof.files else ""
            shown(f"{proof.account}: {proof.listed} listed{hashed}", 0, 0)

        return compare(
            session.settings,
            archive,
            labels,
            start,
            end,
            effects=session.effects,
            observer=session.observer,
            on_step=show,
        )


def _repair(
    session: Session,
    archive: Archive,
    proofs: Sequence[Proof],
    start: date | None,
    end: date | None,
    *,
    as_json: bool,
) -> Repaired:
    """Mend what can be mended and say what was done; not on stdout where that is for a script."""
    with progress(session.effects.clock) as shown:
        repaired = repair(
            session.settings,
            archive,
            [proof for proof in proofs if proof.has_findings],
            start,
            end,
            effects=session.effects,
            observer=session.observer,
            progress=shown,
        )
    outcome = repaired.outcome
    done = f"{output.count(outcome.documents, 'document')} fetched, {output.count(outcome.files, 'file')}"
    click.echo(f"Repaired: {done}; comparing again", err=as_json)
    tell_problems(outcome)
    for label in repaired.left_alone:
        click.echo(f"{NAME}: {label}: more is rotten than whole; see that storage.path is mounted", err=True)
    return repaired


def _show(proofs: Sequence[Proof]) -> None:
    rows = [
        (
            proof.account,
            str(proof.listed),
            str(proof.home),
            str(len(proof.missing)),
            str(len(proof.unmarked)),
            str(len(proof.unlisted)),
            str(proof.files),
            output.size(proof.bytes),
            str(len(proof.rotten)),
        )
        for proof in proofs
    ]
    output.show_table(HEADS, rows, numbers=set(range(1, len(HEADS))))
    for proof in proofs:
        for line in _findings(proof):
            click.echo(f"{proof.account}: {line}")
    click.echo(_verdict(proofs))


def _findings(proof: Proof) -> Iterator[str]:
    rotten = sorted({one.doc_id for one in proof.rotten})
    for ids, what in (
        (proof.missing, "listed by the service and not home"),
        (proof.unmarked, "home, and listed as new all the same"),
        (rotten, "with rotten files"),
    ):
        if ids:
            yield f"{what}: {_first(ids)}"
    if proof.unreadable:
        yield f"{output.count(proof.unreadable, 'list element')} without an id"
    if proof.accepted:
        yield f"{output.count(proof.accepted, 'document')} closed with `{NAME} quarantine accept`"


def _first(ids: Sequence[int]) -> str:
    shown = ", ".join(str(doc_id) for doc_id in sorted(ids)[:MOST_SHOWN])
    return shown + (f" … {len(ids)} in all" if len(ids) > MOST_SHOWN else "")


def _verdict(proofs: Sequence[Proof]) -> str:
    if all(proof.holds for proof in proofs):
        number = sum(proof.listed for proof in proofs)
        if not number:
            return "The service lists no document there: nothing was to be proven."
        accepted = sum(proof.accepted for proof in proofs)
        but_for = f"but for {accepted} closed by an operator " if accepted else ""
        listed = output.count(number, "listed document")
        return f"The proof holds: {listed}, {but_for}all home, whole and known to the service as such."
    if not all(proof.is_complete for proof in proofs):
        return "No proof: the comparison is not complete."
    return f"The proof does not hold. See `{NAME} explain DOC`; `{NAME} reconcile --repair` mends what can be."


def _problems(proofs: Sequence[Proof]) -> Iterator[str]:
    for proof in proofs:
        if proof.credentials_refused:
            yield f"{proof.account}: the service refuses the credentials; mend them"
        yield from (f"not compared: {problem}" for problem in dict.fromkeys(proof.problems))


def _code(proof: Proof) -> int:
    return worst(
        CREDENTIALS if proof.credentials_refused else DONE,
        UNFINISHED if proof.problems else DONE,
        FINDINGS if proof.has_findings else DONE,
    )


def _code_of_repair(repaired: Repaired) -> int:
    """What the comparison afterwards cannot tell: it alone says which findings are left."""
    code = exit_code(repaired.outcome)
    return worst(STORAGE if repaired.left_alone else DONE, DONE if code == FINDINGS else code)


def _fields(proof: Proof) -> dict[str, Any]:
    return {
        "account": proof.account,
        "holds": proof.holds,
        "complete": proof.is_complete,
        "listed": proof.listed,
        "home": proof.home,
        "accepted": proof.accepted,
        "missing": sorted(proof.missing),
        "unmarked": sorted(proof.unmarked),
        "not_listed": sorted(proof.unlisted),
        "files": proof.files,
        "bytes": proof.bytes,
        "rotten": [{"doc_id": one.doc_id, "type": one.type, "sha256": one.sha256} for one in proof.rotten],
        "unreadable": proof.unreadable,
        "problems": list(dict.fromkeys(proof.problems)),
        "credentials_refused": proof.credentials_refused,
    }
