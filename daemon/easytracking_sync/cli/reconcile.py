"""`reconcile`: compare the service with the archive, print the proof, and repair what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import click

from easytracking_sync.app.composition import chosen_accounts
from easytracking_sync.app.json_objects import proof_json
from easytracking_sync.app.reconcile import Proof, Repaired, compare, repair
from easytracking_sync.archive.opening import Archive
from easytracking_sync.cli import options, output
from easytracking_sync.cli.catch_up import warn_of_problems
from easytracking_sync.cli.exit_codes import CREDENTIALS, DONE, FINDINGS, STORAGE, UNFINISHED, exit_code, worst
from easytracking_sync.cli.global_options import NAME
from easytracking_sync.cli.options import require_order, require_past
from easytracking_sync.cli.progress import progress_of_documents, progress_of_steps
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.quantities import count, size

HEADS = ("ACCOUNT", "LISTED", "STORED", "MISSING", "UNMARKED", "NOT LISTED", "FILES", "SIZE", "DAMAGED")
MOST_SHOWN = 10


@click.command(
    epilog="""\b
LISTED: documents the service has, in both phases. STORED: those stored here. MISSING: listed but not
stored. UNMARKED: stored, but listed as new. NOT LISTED: stored, but no longer listed; this is not an
error. DAMAGED: stored files whose bytes have changed.

Without --repair it changes nothing, here or at the service, and may run while the service runs.
An account whose service does not answer for five minutes is skipped.

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
@options.FROM
@options.TO
@click.option("--repair", "wants_repair", is_flag=True, help="Fetch what is missing or damaged, then compare again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per account.")
@pass_runtime
def reconcile(
    runtime: Runtime,
    accounts: tuple[str, ...],
    start_day: date | None,
    end_day: date | None,
    *,
    wants_repair: bool,
    as_json: bool,
) -> int:
    """Compare the service's lists with the archive, hash every stored file, and prove that nothing is missing."""
    require_order(start_day, end_day, "--from and --to")
    require_past(start_day, runtime.effects.clock)
    labels = chosen_accounts(runtime.settings, tuple(dict.fromkeys(label.lower() for label in accounts)))
    repaired = None
    with runtime.archive() as archive:
        proofs = _compare(runtime, archive, labels, start_day, end_day)
        if wants_repair and any(proof.has_findings for proof in proofs):
            if not as_json:
                _show(proofs)
            repaired = _repair(runtime, archive, proofs, start_day, end_day, on_stderr=as_json)
            proofs = _compare(runtime, archive, labels, start_day, end_day)
    if as_json:
        for proof in proofs:
            click.echo(output.json_line(proof_json(proof)))
    else:
        _show(proofs)
    for line in _problems(proofs):
        output.warn(line)
    return worst(*map(_code, proofs), DONE if repaired is None else _code_of_repair(repaired))


def _compare(
    runtime: Runtime, archive: Archive, labels: Sequence[str], start: date | None, end: date | None
) -> list[Proof]:
    with progress_of_steps(runtime.effects.clock) as shown:

        def show(proof: Proof) -> None:
            hashed = f", {count(proof.files, 'file')} hashed" if proof.files else ""
            shown(f"{proof.account}: {proof.listed} listed{hashed}", 0, 0)

        effects, observer = runtime.effects, runtime.observer
        return compare(
            runtime.settings, archive, labels, start, end, effects=effects, observer=observer, on_step=show
        )


def _repair(
    runtime: Runtime,
    archive: Archive,
    proofs: Sequence[Proof],
    start: date | None,
    end: date | None,
    *,
    on_stderr: bool,
) -> Repaired:
    """Repair what was found, and print what was done; not on stdout if a script reads it."""
    found = [proof for proof in proofs if proof.has_findings]
    with progress_of_documents(runtime.effects.clock) as shown:
        effects, observer = runtime.effects, runtime.observer
        repaired = repair(
            runtime.settings, archive, found, start, end, effects=effects, observer=observer, progress=shown
        )
    outcome = repaired.outcome
    done = f"{count(outcome.documents, 'document')} fetched, {count(outcome.files, 'file')}"
    click.echo(f"Repaired: {done}; comparing again", err=on_stderr)
    warn_of_problems(outcome)
    for label in repaired.left_alone:
        output.warn(f"{label}: more than half the files are missing or damaged; check that storage.path is mounted")
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
            size(proof.bytes),
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
    damaged = sorted({one.doc_id for one in proof.rotten})
    for ids, what in (
        (proof.missing, "listed by the service but not stored"),
        (proof.unmarked, "stored, but listed as new"),
        (damaged, "with damaged files"),
    ):
        if ids:
            yield f"{what}: {_first(ids)}"
    if proof.unreadable:
        yield f"{count(proof.unreadable, 'list element')} without an id"
    if proof.accepted:
        yield f"{count(proof.accepted, 'document')} closed with `{NAME} quarantine accept`"


def _first(ids: Sequence[int]) -> str:
    shown = ", ".join(str(doc_id) for doc_id in sorted(ids)[:MOST_SHOWN])
    return shown + (f" … {len(ids)} in all" if len(ids) > MOST_SHOWN else "")


def _verdict(proofs: Sequence[Proof]) -> str:
    if all(proof.holds for proof in proofs):
        number = sum(proof.listed for proof in proofs)
        if not number:
            return "The service lists no documents for this selection: nothing to compare."
        accepted = sum(proof.accepted for proof in proofs)
        except_for = f", except {accepted} closed by an operator" if accepted else ""
        listed = count(number, "listed document")
        return f"The proof holds: {listed}, all stored, undamaged and acknowledged{except_for}."
    if not all(proof.is_complete for proof in proofs):
        return "Not proven: the comparison is incomplete."
    return f"The proof does not hold. See `{NAME} explain DOC`; `{NAME} reconcile --repair` repairs what it can."


def _problems(proofs: Sequence[Proof]) -> Iterator[str]:
    for proof in proofs:
        if proof.credentials_refused:
            yield f"{proof.account}: the service refuses the credentials; correct them"
        yield from (f"not compared: {problem}" for problem in dict.fromkeys(proof.problems))


def _code(proof: Proof) -> int:
    return worst(
        CREDENTIALS if proof.credentials_refused else DONE,
        UNFINISHED if proof.problems else DONE,
        FINDINGS if proof.has_findings else DONE,
    )


def _code_of_repair(repaired: Repaired) -> int:
    """Without open findings: the comparison afterwards says which are left."""
    code = exit_code(repaired.outcome)
    return worst(STORAGE if repaired.left_alone else DONE, DONE if code == FINDINGS else code)
