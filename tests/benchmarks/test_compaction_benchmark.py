"""The benchmark of compaction times the same answers, with the share of positions that it was asked for."""

import json

import pytest
import torch

from inverse_graphics.benchmarks.compaction import PrescribedHalting, benchmark_compaction, fastest
from inverse_graphics.cli.main import main


@pytest.mark.parametrize("pattern", ["blobs", "scattered"])
def test_as_much_stays_alive_prescribed(pattern):
    rule = PrescribedHalting(0.25, pattern, 0)
    split = rule.split(torch.zeros(3, 32, 32), torch.zeros(3, 32, 32))
    alive = torch.isfinite(split.log_keep)
    assert alive.double().mean((1, 2)).tolist() == pytest.approx([0.25] * 3, abs=1e-3)
    again = rule.split(torch.ones(3, 32, 32), torch.zeros(3, 32, 32))
    assert torch.equal(torch.isfinite(again.log_keep), alive)


def test_rows_say_how_much_was_active_and_that_answers_agree(monkeypatch):
    monkeypatch.setattr("inverse_graphics.benchmarks.compaction.REPEATS", 1)
    few, many = benchmark_compaction(3, 2, (0.1, 1.0), ("blobs",), 0)
    assert few.active_share == pytest.approx((1 + 2 * 0.1) / 3, abs=0.01)
    assert many.active_share == 1
    assert many.multiply_adds > 1, "halting maps cost, too"
    assert few.multiply_adds < 0.6
    assert max(few.deviation, many.deviation) < 1e-3
    assert few.speedup == pytest.approx(few.masked_ms / few.compacted_ms)


def test_the_command_writes_figures_and_refuses_what_is_no_share(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("inverse_graphics.benchmarks.compaction.REPEATS", 1)
    file = tmp_path / "figures.json"
    command = ["benchmark", "compaction", "--units", "2", "--batch", "1"]
    assert main([*command, "--shares", "0.5", "--json", str(file)]) == 0
    assert [row["pattern"] for row in json.loads(file.read_text())] == ["blobs", "scattered"]
    assert main([*command, "--shares", "0.5,2"]) == 2
    assert "expected shares" in " ".join(capsys.readouterr().err.split())


def test_the_fastest_of_each_is_reported():
    calls = []
    times = fastest(lambda: calls.append("one"), lambda: calls.append("other"))
    assert len(times) == 2
    assert all(one.wall_ms > 0 and one.processor_ms >= 0 for one in times)
    assert calls[:4] == ["one", "other", "one", "other"]
