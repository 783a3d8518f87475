"""Tables of a study of the 2D model: figures by variant, and count accuracy of every run by true count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from statistics import mean, median

from inverse_graphics.studies.records import Record, by_variant, evaluated, markdown_table

TARGET = 0.98
"""The count accuracy of `seconds_to_98`."""


@dataclass(frozen=True)
class CountingRow:
    """Results of a variant over its finished seeds; None if there are none, or true counts are unknown.

    Attributes:
        variant: name of the variant.
        seeds: finished seeds, of all.
        count_accuracy: mean over seeds.
        worst: smallest count accuracy of any seed.
        elbo: median over seeds of the bound, nats.
        iwae: median over seeds of the importance-weighted bound, nats.
        minutes: training time, median over seeds.
        images_per_second: training throughput, median over seeds.
        seconds_to_98: training time to the first evaluation with 98 % correct counts, median over seeds; None
            if the median seed does not reach it.
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
    """Build one row per variant."""
    return [_row(name, own) for name, own in by_variant(records).items()]


def seconds_to(record: Record, share: float) -> float | None:
    """Training time at a run's first evaluation with at least this count accuracy; None if there is none."""
    for row in record["history"]:
        if row["held_out"].get("count_accuracy", 0.0) >= share:
            return float(row["seconds"])
    return None


def summarise_counting(records: Sequence[Record], rows: Sequence[CountingRow], command: str) -> str:
    """Write Markdown tables of all variants, and of all runs by true count."""
    head = ["variant", "seeds", "correct counts, mean", "worst seed", "bound", "importance-weighted"]
    table = markdown_table([*head, "minutes", "images/s", "seconds to 98 %"], [_cells(row) for row in rows])
    return "\n".join([f"`{command}`\n", *table, "", *_by_count(records), ""])


def _row(name: str, records: Sequence[Record]) -> CountingRow:
    done = evaluated(records)
    accuracies = [r["evaluation"]["count_accuracy"] for r in done if "count_accuracy" in r["evaluation"]]
    times = sorted(inf if (time := seconds_to(r, TARGET)) is None else time for r in records)
    middle = times[(len(times) - 1) // 2] if accuracies else inf
    return CountingRow(
        variant=name,
        seeds=f"{len(done)} of {len(records)}",
        count_accuracy=mean(accuracies) if accuracies else None,
        worst=min(accuracies, default=None),
        elbo=median(r["evaluation"]["elbo"] for r in done) if done else None,
        iwae=median(r["evaluation"]["iwae"] for r in done) if done else None,
        minutes=median(r["seconds"] for r in done) / 60 if done else None,
        images_per_second=median(r["images_per_second"] for r in done) if done else None,
        seconds_to_98=None if middle == inf else middle,
    )


def _cells(row: CountingRow) -> list[str]:
    return [
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


def _by_count(records: Sequence[Record]) -> list[str]:
    """Markdown table of each finished run's accuracy by true count; empty if true counts are unknown."""
    key = "count_accuracy_by_count"
    done = [record for record in evaluated(records) if key in record["evaluation"]]
    counts = sorted({count for r in done for count in r["evaluation"][key]}, key=int)
    if not done:
        return []
    rows = []
    for record in done:
        figures = record["evaluation"]
        shares = [figures["count_accuracy"], *(figures[key].get(count) for count in counts)]
        cells = map(_share, [*shares, figures["calibration_error"]])
        rows.append([record["variant"], str(record["seed"]), *cells])
    of_each = [f"of {count}" for count in counts]
    return markdown_table(["variant", "seed", "correct counts", *of_each, "calibration error"], rows)


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _number(value: float | None, text: str) -> str:
    return "" if value is None else format(value, text)
