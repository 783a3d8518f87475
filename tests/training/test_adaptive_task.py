"""Recurrent networks that think, as a recipe trains them: what a run may go on with."""

import pytest

from inverse_graphics.errors import TrainingError
from inverse_graphics.models.adaptive.act import ACT
from inverse_graphics.models.adaptive.sequence_network import SequenceNetwork
from inverse_graphics.models.weights import load_model
from inverse_graphics.training.recipe import load_recipe
from inverse_graphics.training.run import run

TINY = ("data.gates=2", "data.length=2", "model.hidden=8", "batch_size=4", "evaluation={every: 2, size: 8}")


def test_a_run_goes_on_with_more_steps_of_thought_but_with_no_other_network(tmp_path):
    def recipe(*changes: str):
        return load_recipe("act_logic", (*TINY, *changes))

    run(recipe("steps=2", "model.max_steps=3"), tmp_path / "run")
    longer = run(recipe("steps=4", "model.max_steps=5"), tmp_path / "run", resume=True)
    assert longer.weights is not None
    network = load_model(longer.weights).module
    assert isinstance(network, SequenceNetwork)
    assert isinstance(network.adaptive_cell, ACT)
    assert network.adaptive_cell.max_steps == 5
    assert [row["step"] for row in longer.history] == [2, 4]
    with pytest.raises(TrainingError, match=r"another recipe \(other model\.hidden\)"):
        run(recipe("steps=6", "model.hidden=9"), tmp_path / "run", resume=True)
