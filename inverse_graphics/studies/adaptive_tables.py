"""Tables of studies of adaptive computation time: variants, where each method works, other halting rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from inverse_graphics.studies.records import Record, by_variant, evaluated, markdown_table

SOLVED = 0.01
"""The share of sequences with an error up to which a problem is solved."""
MOST = 0.9
"""The share of seeds that must solve it for a time penalty to work."""


@dataclass(frozen=True)
class AdaptiveRow:
    """A variant over its finished seeds.

    Attributes:
        solved: seeds with at most `SOLVED` of the sequences wrong.  error: medians and worst of the shares of
            sequences with an error.
        steps: for each input, mean over inputs, median over seeds.
        minutes: of training.
        seconds_to_solved: until an evaluation first was so good, median of the seeds that got there.
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


def adaptive_rows(records: Sequence[Record]) -> list[AdaptiveRow]:
    """One row for each variant, by method and setting."""
    rows = [_row(name, runs) for name, runs in by_variant(records).items()]
    order = list(dict.fromkeys(row.method for row in rows))
    return sorted(rows, key=lambda row: (order.index(row.method), float(row.setting)))


def seconds_to_solved(record: Record) -> float | None:
    """Training time at the first evaluation of a run with at most `SOLVED` wrong."""
    return next((r["seconds"] for r in record["history"] if r["held_out"]["error"] <= SOLVED), None)


def working_range(rows: Sequence[AdaptiveRow], method: str) -> tuple[list[str], list[str]]:
    """The settings of a method with which nearly all seeds solve the problem, and all that were tried."""
    tried = [row for row in rows if row.method == method and row.seeds[0] != "0"]
    finished = {row.setting: int(row.seeds.split()[0]) for row in tried}
    return [row.setting for row in tried if row.solved >= MOST * finished[row.setting]], list(finished)


def summarise(records: Sequence[Record], rows: Sequence[AdaptiveRow], command: str) -> str:
    """Markdown: all variants, then where each method works, then other halting rules."""
    solved = f"solved (≤ {100 * SOLVED:g} % wrong)"
    head = ["method", "τ or ρ", "seeds", solved, "error, median", "worst", "steps", "minutes"]
    return "\n".join(
        [
            f"`{command}`\n",
            *markdown_table([*head, "seconds until solved"], [_cells(row) for row in rows]),
            "",
            f"Settings with which at least {100 * MOST:g} % of the seeds solve it:\n",
            *(_range_line(rows, method) for method in dict.fromkeys(row.method for row in rows)),
            "",
            *_other_rules(records),
        ]
    )


def _row(name: str, runs: Sequence[Record]) -> AdaptiveRow:
    method, _, setting = name.partition("/")
    finished = evaluated(runs)
    errors = [run["evaluation"]["metrics"]["error"] for run in finished]
    times = [t for t in map(seconds_to_solved, finished) if t is not None]
    return AdaptiveRow(
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


def _cells(row: AdaptiveRow) -> list[str]:
    return [
        row.method,
        row.setting,
        row.seeds,
        str(row.solved),
        _percent(row.error_median),
        _percent(row.error_worst),
        *(f"{value:.1f}" if value is not None else "–" for value in (row.steps, row.minutes)),
        f"{row.seconds_to_solved:.0f}" if row.seconds_to_solved is not None else "–",
    ]


def _range_line(rows: Sequence[AdaptiveRow], method: str) -> str:
    works, tried = working_range(rows, method)
    return f"- {method}: {', '.join(works) or 'none'}; of {', '.join(tried)}"


def _other_rules(records: Sequence[Record]) -> list[str]:
    """Networks evaluated under other halting rules than they were trained with: medians over seeds."""
    adaptive = [record for record in evaluated(records) if record["method"] != "repeat"]
    if not adaptive:
        return []
    rules = list(adaptive[0]["evaluation"]["by_halting"])
    rows = []
    for variant, own in by_variant(adaptive).items():
        found = [record["evaluation"]["by_halting"] for record in own]
        errors = [_percent(median(figures[rule]["error"] for figures in found)) for rule in rules]
        steps = [median(figures[rule]["steps"] for figures in found) for rule in rules]
        cells = [f"{error} ({mean_steps:.1f})" for error, mean_steps in zip(errors, steps, strict=True)]
        rows.append([*variant.split("/"), *cells])
    heading = "Error (and steps) of the same weights under other halting rules, medians over seeds:\n"
    return [heading, *markdown_table(["method", "τ", *rules], rows), ""]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"
