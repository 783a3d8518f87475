"""The latest checkpoint of a run, however it ended, gives a model that can be used."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from inverse_graphics.cli.main import main
from inverse_graphics.errors import TrainingError
from inverse_graphics.inference.parser import load_parser
from inverse_graphics.models.weights import load_model
from inverse_graphics.training import air2d_task, air3d_task
from inverse_graphics.training.checkpoint import checkpoints
from inverse_graphics.training.recipe import Recipe, load_recipe
from inverse_graphics.training.run import export_run, run

RECIPES = {
    "air2d": {
        "name": "small2d",
        "data": {"digits": "shipped"},
        "model": {"features": 8, "hidden": 8, "head": 8, "what": 4, "glimpse_hidden": 8},
        "steps": 4,
    },
    "air3d": {
        "name": "small3d",
        "model": {
            "kind": "air3d",
            "channels": [8, 8, 8],
            "hidden": 16,
            "family": {"kind": "single_object", "image_size": 32},
        },
        "objective": {"kind": "sleep"},
        "steps": 4,
    },
}
COMMON = {"batch_size": 4, "checkpoint_every": 2, "evaluation": {"size": 20, "every": 4}}


@pytest.fixture(autouse=True)
def _few_calibration_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(air2d_task, "CALIBRATION_SIZE", 300)
    monkeypatch.setattr(air3d_task, "FIT_SIZE", 300)
    monkeypatch.setattr(air3d_task, "CALIBRATION_SIZE", 300)


def recipe_file(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.yaml"
    path.write_text(yaml.safe_dump(RECIPES[kind] | COMMON))
    return path


def stopped(recipe: Recipe, folder: Path) -> None:
    """A run that did half its steps and was killed while it wrote another checkpoint."""
    run(recipe, folder, console=Console(file=io.StringIO()))
    shutil.rmtree(folder / "weights")
    shutil.rmtree(folder / "checkpoints" / "step-00000004")
    (folder / "checkpoints" / ".step-00000004-x.tmp").mkdir()


@pytest.mark.parametrize("kind", list(RECIPES))
def test_a_stopped_run_gives_a_model_that_answers(
    kind: str, tmp_path: Path, data_beside_repository: None
) -> None:
    stopped(load_recipe(recipe_file(kind, tmp_path)), tmp_path / "run")
    console = Console(file=io.StringIO(), width=200)
    folder = export_run(tmp_path / "run", tmp_path / "model", console=console)
    assert folder == tmp_path / "model"
    document = load_model(folder).document
    assert document.kind == kind
    assert document.metrics["trained_steps"] == 2
    size = 50 if kind == "air2d" else 32
    image = np.random.default_rng(0).random((size, size, 3), dtype=np.float32)
    assert load_parser(folder).parse(image).count in range(5)
    assert isinstance(console.file, io.StringIO)
    assert "step 2 of 4" in console.file.getvalue()
    assert "evaluating on 20 held-out images" in console.file.getvalue()
    assert "outlier detector" in console.file.getvalue()


def test_its_weights_are_those_of_the_checkpoint_and_the_run_goes_on(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file("air3d", tmp_path))
    quiet = Console(file=io.StringIO())
    whole = run(recipe, tmp_path / "whole", console=quiet)
    again = export_run(tmp_path / "whole", tmp_path / "again", console=quiet)
    assert whole.weights is not None
    weights = [folder / "weights.safetensors" for folder in (whole.weights, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert load_model(again).document.metrics == load_model(whole.weights).document.metrics
    stopped(recipe, tmp_path / "run")
    export_run(tmp_path / "run", console=quiet)
    resumed = run(recipe, tmp_path / "run", resume=True, console=quiet)
    assert resumed.finished
    assert weights[0].read_bytes() == (tmp_path / "run" / "weights" / "weights.safetensors").read_bytes()


def test_what_cannot_be_exported_is_refused_and_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no checkpoint"):
        export_run(tmp_path / "empty")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    stopped(load_recipe(recipe_file("air3d", tmp_path)), tmp_path / "run")
    with pytest.raises(TrainingError, match="is not the folder of a model"):
        export_run(tmp_path / "run", mine)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_a_run_that_was_killed_is_exported_by_its_commands(tmp_path: Path) -> None:
    """A process is killed once it has a checkpoint; then both commands export it."""
    recipe = recipe_file("air3d", tmp_path)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "inverse_graphics.cli", "train", str(recipe), "--run-dir", "run"]
    command = ["inverse-graphics", *command[3:]]
    program = [str(Path(sys.executable).parent / command[0]), *command[1:], "--set", "steps=1000000"]
    with subprocess.Popen(program, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not checkpoints(tmp_path / "run" / "checkpoints") and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert checkpoints(tmp_path / "run" / "checkpoints")
    assert not (tmp_path / "run" / "weights").exists()
    assert load_model(export_run(tmp_path / "run")).document.metrics["trained_steps"] >= 2


def test_both_commands_export_a_stopped_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_file("air3d", tmp_path)
    stopped(load_recipe(recipe), tmp_path / "run")
    assert main(["models", "export", str(tmp_path / "run"), "-o", str(tmp_path / "mine"), "--json", "-"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["metrics"]["trained_steps"] == 2
    assert main(["train", str(recipe), "--run-dir", str(tmp_path / "run"), "--export"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "weights")
    one, other = (load_model(folder).document for folder in (tmp_path / "mine", tmp_path / "run" / "weights"))
    assert one.metrics == other.metrics
    assert main(["models", "export", str(tmp_path)]) == 1
    assert "holds no checkpoint" in capsys.readouterr().err
    assert main(["train", str(recipe), "--export", "--resume"]) == 2
