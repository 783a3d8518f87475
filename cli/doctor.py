"""`inverse-graphics doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .application import answer
from .options import Json
from .streams import console

if TYPE_CHECKING:
    from inverse_graphics.doctor import Finding

EXAMPLES = """\
inverse-graphics doctor
inverse-graphics doctor --json report.json    [dim]# to attach to a bug report[/dim]"""

STATES = {"works": ("  ok", "green"), "missing": ("  --", "yellow"), "broken": ("  !!", "bold red")}


def doctor(
    json: Json = None,
) -> None:
    """Check the installation: what works, what is missing, and how to install it.

    Checks versions, devices, render engines, data, asset packs and models. The exit status is 1 if a
    required part is broken, and 0 if only optional parts are missing.
    """
    from dataclasses import asdict

    from inverse_graphics.doctor import examine

    findings = list(examine())
    answer([asdict(finding) for finding in findings], json, lambda: _show(findings))
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    from itertools import groupby

    from rich.table import Table
    from rich.text import Text

    out = console()
    for area, group in groupby(findings, key=lambda finding: finding.area):
        table = Table.grid(padding=(0, 2))
        for finding in group:
            remedy = f"\n-> {finding.remedy}" if finding.remedy else ""
            detail = Text(finding.detail).append(remedy, style="dim")
            word, style = STATES[finding.state]
            table.add_row(Text(word, style=style), Text(finding.name), detail)
        out.print(Text(area, style="bold"))
        out.print(table)
        out.print()
