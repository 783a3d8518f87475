"""Tables of studies of adaptive computation time: variants, working settings, other halting rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from inverse_graphics.studies.records import Record, by_variant, evaluated, markdown_table

SOLVED = 0.01
"""Largest share of sequences with an error at which a problem counts as solved."""
MOST = 0.9
"""Smallest share of seeds that must solve the problem for a time penalty to count as working."""


@dataclass(frozen=True)
class AdaptiveRow:
    """Results of a variant over its finished seeds.

    Attributes:
        method: the method.
        setting: time penalty, or fixed number of steps.
        seeds: finished seeds, of all.
        solved: number of seeds that solve the problem.
        error_median: median over seeds of the share of sequences with an error.
        error_worst: largest share of sequences with an error of any seed.
        steps: mean steps per input, median over seeds.
        minutes: training time.
        seconds_to_solved: training time to the first evaluation that solves the problem, median over the
            seeds that reach it.
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
    """Build one row per variant, sorted by method and setting."""
    rows = [_row(name, runs) for name, runs in by_variant(records).items()]
    order = list(dict.fromkeys(row.method for row in rows))
    return sorted(rows, key=lambda row: (order.index(row.method), float(row.setting)))


def seconds_to_solved(record: Record) -> float | None:
    """Training time at a run's first evaluation that solves the problem; None if there is none."""
    return next((r["seconds"] for r in record["history"] if r["held_out"]["error"] <= SOLVED), None)


def working_range(rows: Sequence[AdaptiveRow], method: str) -> tuple[list[str], list[str]]:
    """List the settings of a method with which `MOST` of the seeds solve the problem, and all settings."""
    tried = [row for row in rows if row.method == method and row.seeds[0] != "0"]
    finished = {row.setting: int(row.seeds.split()[0]) for row in tried}
    return [row.setting for row in tried if row.solved >= MOST * finished[row.setting]], list(finished)


def summarise(records: Sequence[Record], rows: Sequence[AdaptiveRow], command: str) -> str:
    """Write Markdown tables of all variants, of working settings, and of other halting rules."""
    solved = f"solved (≤ {100 * SOLVED:g} % wrong)"
    head = ["method", "τ or ρ", "seeds", solved, "error, median", "worst", "steps", "minutes"]
    return "\n".join(
        [
            f"`{command}`\n",
            *markdown_table([*head, "seconds until solved"], [_cells(row) for row in rows]),
            "",
            f"Settings with which at least {100 * MOST:g} % of the seeds solve the problem:\n",
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
    """Markdown table of networks evaluated under other halting rules than in training: medians over seeds."""
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
