"""What `check` finds: a line, whether it is well, and how to mend what is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import click

from easytracking_sync.cli.exit_codes import DONE, worst
from easytracking_sync.safe_text import visible


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at. Where it has failed there is an exit code; where it should be mended, how."""

    what: str
    code: int = DONE
    mend: str = ""

    @property
    def mark(self) -> str:
        """ok, fail, or warn: it works, and should be mended all the same."""
        if self.code != DONE:
            return "fail"
        return "warn" if self.mend else "ok"


@dataclass(frozen=True, slots=True)
class Told:
    """What was printed, all in all."""

    code: int = DONE
    warnings: int = 0

    def __add__(self, other: Told) -> Told:
        return Told(worst(self.code, other.code), self.warnings + other.warnings)


_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def tell(findings: Iterable[Finding]) -> Told:
    """Print findings as they come."""
    told = Told()
    for finding in findings:
        mark = click.style(finding.mark.ljust(4), fg=_COLOURS[finding.mark])
        click.echo(f"{mark}  {visible(finding.what)}")
        if finding.mend:
            click.echo(f"      → {visible(finding.mend)}")
        told += Told(finding.code, int(finding.mark == "warn"))
    return told
