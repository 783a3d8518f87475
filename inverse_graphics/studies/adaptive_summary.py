"""What a study of thinking came to, in tables that can be pasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

Record = dict[str, Any]
"""A run, as `results.json` has it."""
SOLVED = 0.01
"""The share of sequences with an error up to which a problem is solved."""
MOST = 0.9
"""The share of seeds that must solve it for a time penalty to work."""


@dataclass(frozen=True)
class ThinkingRow:
    """A variant over its finished seeds.

    solved: seeds with at most `SOLVED` of the sequences wrong.  error: medians and worst of the shares of
    sequences with an error.  steps: for each input, mean over inputs, median over seeds.  minutes: of
    training.  seconds_to_solved: until an evaluation first was so good, median of the seeds that came there.
    """

    method: str
    setting: str
    seeds: str
    solved: int
    error_median: float | None
    error_worst: float | None
    steps: float | None
    minutes: float | None
    seconds_to_solved: float | None


def thinking_rows(records: Sequence[Record]) -> list[ThinkingRow]:
    """One row for each variant, by method and setting."""
    names = dict.fromkeys(record["variant"] for record in records)
    rows = [_row(name, [record for record in records if record["variant"] == name]) for name in names]
    order = list(dict.fromkeys(row.method for row in rows))
    return sorted(rows, key=lambda row: (order.index(row.method), float(row.setting)))


def seconds_to_solved(record: Record) -> float | None:
    """Training time at the first evaluation of a run with at most `SOLVED` wrong."""
    return next((r["seconds"] for r in record["history"] if r["held_out"]["error"] <= SOLVED), None)


def working_range(rows: Sequence[ThinkingRow], method: str) -> tuple[list[str], list[str]]:
    """The settings of a method with which nearly all seeds solve the problem, and all that were tried."""
    tried = [row for row in rows if row.method == method and row.seeds[0] != "0"]
    finished = {row.setting: int(row.seeds.split()[0]) for row in tried}
    return [row.setting for row in tried if row.solved >= MOST * finished[row.setting]], list(finished)


def summarise(records: Sequence[Record], rows: Sequence[ThinkingRow], command: str) -> str:
    """Markdown: all variants, then where each method works, then every run."""
    return "\n".join(
        [
            f"`{command}`\n",
            f"| method | τ or ρ | seeds | solved (≤ {100 * SOLVED:g} % wrong) | error, median | worst "
            "| steps | minutes | seconds until solved |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_variant_line(row) for row in rows),
            "",
            f"Settings with which at least {100 * MOST:g} % of the seeds solve it:\n",
            *(_range_line(rows, method) for method in dict.fromkeys(row.method for row in rows)),
            "",
            *_other_ways(records),
        ]
    )


def _row(name: str, runs: Sequence[Record]) -> ThinkingRow:
    method, _, setting = name.partition("/")
    finished = [run for run in runs if run["finished"]]
    errors = [run["evaluation"]["metrics"]["error"] for run in finished]
    times = [t for t in map(seconds_to_solved, finished) if t is not None]
    return ThinkingRow(
        method=method,
        setting=setting,
        seeds=f"{len(finished)} of {len(runs)}",
        solved=sum(error <= SOLVED for error in errors),
        error_median=median(errors) if errors else None,
        error_worst=max(errors, default=None),
        steps=median(r["evaluation"]["metrics"]["steps"] for r in finished) if finished else None,
        minutes=mean(run["seconds"] for run in finished) / 60 if finished else None,
        seconds_to_solved=median(times) if times else None,
    )


def _variant_line(row: ThinkingRow) -> str:
    cells = [
        row.method,
        row.setting,
        row.seeds,
        str(row.solved),
        _percent(row.error_median),
        _percent(row.error_worst),
        *(f"{value:.1f}" if value is not None else "–" for value in (row.steps, row.minutes)),
        f"{row.seconds_to_solved:.0f}" if row.seconds_to_solved is not None else "–",
    ]
    return f"| {' | '.join(cells)} |"


def _range_line(rows: Sequence[ThinkingRow], method: str) -> str:
    works, tried = working_range(rows, method)
    return f"- {method}: {', '.join(works) or 'none'}; of {', '.join(tried)}"


def _other_ways(records: Sequence[Record]) -> list[str]:
    """Networks judged by another rule than they were trained by: medians over all runs of a variant."""
    judged = [record for record in records if record["evaluation"] and record["method"] != "repeat"]
    if not judged:
        return []
    ways = list(judged[0]["evaluation"]["by_halting"])
    lines = [
        "Error (and steps) of the same weights under other halting rules, medians over seeds:\n",
        f"| method | τ | {' | '.join(ways)} |",
        f"|---|---|{'---|' * len(ways)}",
    ]
    for variant in dict.fromkeys(record["variant"] for record in judged):
        runs = [r["evaluation"]["by_halting"] for r in judged if r["variant"] == variant]
        cells = [
            f"{_percent(median(r[way]['error'] for r in runs))} ({median(r[way]['steps'] for r in runs):.1f})"
            for way in ways
        ]
        lines.append(f"| {variant.replace('/', ' | ')} | {' | '.join(cells)} |")
    return [*lines, ""]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"
