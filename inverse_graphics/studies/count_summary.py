"""What a study of counting came to, in tables that can be pasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

Record = dict[str, Any]
"""A run, as `results.json` has it."""
TARGETS = (0.98, 0.995)
"""Count accuracies to which the time is told."""


@dataclass(frozen=True)
class CountingRow:
    """A variant over its finished seeds; None where there is none, or counts are not known.

    seeds: finished, of those begun.  count_accuracy: mean.  worst: of any seed.  elbo, iwae: medians, nats.
    seconds_to_98: of training until an evaluation first had 98 % right, median over seeds; None if the median
    seed never had.
    """

    variant: str
    seeds: str
    count_accuracy: float | None
    worst: float | None
    elbo: float | None
    iwae: float | None
    minutes: float | None
    images_per_second: float | None
    seconds_to_98: float | None


def counting_rows(records: Sequence[Record]) -> list[CountingRow]:
    """One row for each variant."""
    names = dict.fromkeys(record["variant"] for record in records)
    return [_row(name, [record for record in records if record["variant"] == name]) for name in names]


def seconds_to(record: Record, share: float) -> float | None:
    """Training time at the first evaluation of a run with at least this share of counts right."""
    for row in record["history"]:
        if row["held_out"].get("count_accuracy", 0.0) >= share:
            return float(row["seconds"])
    return None


def summarise_counting(records: Sequence[Record], rows: Sequence[CountingRow], command: str) -> str:
    """Markdown: all variants, then all runs by true count."""
    return "\n".join(
        [
            f"`{command}`\n",
            "| variant | seeds | counts right, mean | worst seed | bound | importance-weighted | minutes "
            "| images/s | seconds to 98 % |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_variant_line(row) for row in rows),
            "",
            *_by_count(records),
            "",
        ]
    )


def _row(name: str, records: Sequence[Record]) -> CountingRow:
    done = [record for record in records if record["evaluation"]]
    accuracies = [r["evaluation"]["count_accuracy"] for r in done if "count_accuracy" in r["evaluation"]]
    times = sorted(float("inf") if (time := seconds_to(r, TARGETS[0])) is None else time for r in records)
    middle = times[(len(times) - 1) // 2] if accuracies else float("inf")
    return CountingRow(
        variant=name,
        seeds=f"{len(done)} of {len(records)}",
        count_accuracy=mean(accuracies) if accuracies else None,
        worst=min(accuracies, default=None),
        elbo=median(r["evaluation"]["elbo"] for r in done) if done else None,
        iwae=median(r["evaluation"]["iwae"] for r in done) if done else None,
        minutes=median(r["seconds"] for r in done) / 60 if done else None,
        images_per_second=median(r["images_per_second"] for r in done) if done else None,
        seconds_to_98=None if middle == float("inf") else middle,
    )


def _variant_line(row: CountingRow) -> str:
    cells = [
        row.variant,
        row.seeds,
        _share(row.count_accuracy),
        _share(row.worst),
        _number(row.elbo, ",.1f"),
        _number(row.iwae, ",.1f"),
        _number(row.minutes, ".1f"),
        _number(row.images_per_second, ",.0f"),
        _number(row.seconds_to_98, ".0f"),
    ]
    return f"| {' | '.join(cells)} |"


def _by_count(records: Sequence[Record]) -> list[str]:
    """Each finished run's accuracy by true count; nothing where counts are not known."""
    key = "count_accuracy_by_count"
    done = [r for r in records if r["evaluation"] and key in r["evaluation"]]
    counts = sorted({count for r in done for count in r["evaluation"][key]}, key=int)
    if not done:
        return []
    of_each = " | ".join(f"of {count}" for count in counts)
    lines = [
        f"| variant | seed | counts right | {of_each} | calibration error |",
        f"|---|---|---|{'---|' * len(counts)}---|",
    ]
    for r in done:
        evaluation = r["evaluation"]
        shares = [_share(evaluation[key].get(count)) for count in counts]
        cells = [r["variant"], str(r["seed"]), _share(evaluation["count_accuracy"]), *shares]
        lines.append(f"| {' | '.join([*cells, _share(evaluation['calibration_error'])])} |")
    return lines


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _number(value: float | None, text: str) -> str:
    return "" if value is None else format(value, text)
