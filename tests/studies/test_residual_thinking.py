"""The study of residual networks that think: what it writes, and what its variances are of."""

import csv
import json

import pytest
import torch
from PIL import Image

from inverse_graphics.cli.main import main
from inverse_graphics.models.adaptive.settings import ReinforceObjective
from inverse_graphics.models.residual.network import ResidualNetwork, ResidualSettings
from inverse_graphics.models.residual.objectives import Labelled, build_residual_objective
from inverse_graphics.studies.latents import (
    RELAXED,
    SCORE,
    LatentSpread,
    groupings,
    halting_gradients,
    latent_spreads,
    latent_table,
    variance_ratio,
)

RECIPE = """\
name: tiny
data: {kind: sprites, size: 24, count_weights: [0, 1]}
model: {kind: residual, image_size: 24, classes: 3, units: 2, widths: [2, 2, 2], halting_bias: -1.0, patch: 2}
objective: {kind: relaxed, time_penalty: 0.1}
steps: 6
batch_size: 8
threads: 1
evaluation: {every: 3, size: 40}
checkpoint_every: 3
"""


@pytest.fixture
def few_latents(monkeypatch):
    monkeypatch.setattr("inverse_graphics.studies.residual.FITTED", 3)
    monkeypatch.setattr("inverse_graphics.studies.latents.PATCHES", (4, 2))


def test_the_study_writes_what_it_says_and_reports_without_training(study, place, capsys, few_latents):
    assert study("psact", "--draws", "4", "--seeds", "0") == 0
    out = place / "out"
    (run,) = json.loads((out / "results.json").read_text())["runs"]
    assert set(run["evaluation"]["by_kind"]) == {"plain", "act", "sact", "pact", "psact"}
    assert run["evaluation"]["by_kind"]["plain"]["active_share"] == 1
    with (out / "gradients.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {int(row["latents"]) for row in rows} == {1, 3, 189}, "squares of 4 do not tile"
    assert len(rows) == 2 * 2 * 3
    assert {row["stage"] for row in rows} == {"start", "end"}
    for name in ("gradients.png", "computation.png"):
        with Image.open(out / name) as picture:
            assert picture.getbbox() is not None
        assert (out / name).with_suffix(".svg").stat().st_size > 1000
    assert "| psact |" in (out / "summary.md").read_text()
    (out / "summary.md").unlink()
    capsys.readouterr()
    assert study("psact", "--no-train", "--draws", "4") == 0
    assert "training tiny" not in capsys.readouterr().err
    assert (out / "summary.md").is_file()


def test_what_it_cannot_do_is_reported(study, place, tmp_path, capsys):
    assert main(["study", "psact", "--recipe", "act_parity", "--out", str(tmp_path / "out")]) == 1
    assert "trains no residual network" in capsys.readouterr().err
    assert study("psact", "--no-train") == 1
    assert "contains no finished run" in capsys.readouterr().err
    assert study("psact", "--seeds", "x") == 2


def small(seed=0):
    torch.manual_seed(seed)
    network = ResidualNetwork(ResidualSettings(units=2, widths=(2, 2, 2), classes=3, halting_bias=0.0)).eval()
    for name, parameter in network.named_parameters():
        if ".halts." in name and "weight" in name:
            torch.nn.init.normal_(parameter, 0, 0.3)
    return network


def test_groupings_have_the_papers_numbers_of_latents():
    assert [small().latents(kinds) for kinds in groupings(small())] == [1, 3, 21, 84, 336, 1344]


def test_more_latents_make_the_score_function_noisier_than_relaxed_draws(monkeypatch):
    """It grows with the score's variance, which is that of all draws added up; relaxed draws average out."""
    monkeypatch.setattr("inverse_graphics.studies.latents.PATCHES", (4, 1))
    network = small()

    def batch(index):
        generator = torch.Generator().manual_seed(index)
        return Labelled(torch.rand(4, 1, 32, 32, generator=generator), torch.arange(4) % 3)

    spreads = latent_spreads(network, "start", 0.1, batch, 0, draws=12, fitted=3)
    assert len(spreads) == 8
    few, many = (variance_ratio(spreads, "start", latents) for latents in (3, 1344))
    assert few is not None
    assert many is not None
    assert many > 10 * few


def test_the_gradient_that_is_looked_at_is_that_of_the_halting_maps():
    network = small()
    objective = build_residual_objective(network, ReinforceObjective(), groupings(network)[0])
    batch = Labelled(torch.rand(2, 1, 32, 32), torch.tensor([0, 1]))
    drawn = halting_gradients(objective, batch, 3, torch.Generator().manual_seed(0))
    sizes = [sum(p.numel() for p in block.halts.parameters()) for block in network.blocks]
    assert drawn.shape == (3, sum(sizes))
    assert (drawn[:, : sizes[0] + sizes[1]] == 0).all(), "blocks that do not think have none"
    assert (drawn[:, -sizes[2] :] != 0).any()


def test_where_nothing_varies_there_is_no_ratio():
    spreads = [LatentSpread("end", 1, name, 0.0, 0.0) for name in (SCORE, RELAXED)]
    assert variance_ratio(spreads, "end", 1) is None
    assert latent_table(spreads)[-1] == "| end | 1 | 0 | 0 | | 0 | 0 |"


def test_ratios_are_of_the_same_seeds():
    found = [(4.0, SCORE), (1.0, RELAXED), (9.0, SCORE), (1.0, RELAXED)]
    spreads = [LatentSpread("end", 1, name, variance, 0.0) for variance, name in found]
    assert variance_ratio(spreads, "end", 1) == pytest.approx(6)
