"""The pages name every setting of networks that think, with its default; the examples of the page run."""

import re
import subprocess
import sys
from typing import get_args

import pytest
import yaml
from test_air2d_docs import DOCS, defaults, documented

from inverse_graphics.models.adaptive import settings as objectives
from inverse_graphics.models.adaptive.sequence_network import AdaptiveSettings
from inverse_graphics.models.residual.network import ResidualSettings
from inverse_graphics.sequences.problems import SequenceProblem
from inverse_graphics.training.recipe import (
    BLOCK_OBJECTIVES,
    AdaptiveRecipe,
    ResidualRecipe,
    load_recipe,
    shipped_recipes,
)

OBJECTIVES = (
    objectives.ActObjective,
    objectives.RelaxedObjective,
    objectives.ReinforceObjective,
)
PAGE = (DOCS / "how" / "adaptive.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("heading", "kinds"),
    [
        ("`model.`, over sequences", (AdaptiveSettings,)),
        ("`model.`, residual", (ResidualSettings,)),
        ("`objective.`, adaptive computation", OBJECTIVES),
    ],
)
def test_tables_are_the_codes(heading, kinds):
    assert documented("training.md", heading) == defaults(*kinds)


def test_the_table_of_problems_is_the_codes():
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    _, table = text.split("\n| `data.kind` | default | |\n", 1)
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", table.split("\n\n", 1)[0], re.MULTILINE)
    documented = {kind: yaml.safe_load("{" + settings + "}") for kind, settings in rows}
    problems = get_args(get_args(SequenceProblem)[0])
    assert documented == {problem().kind: problem().model_dump(exclude={"kind"}) for problem in problems}


def test_the_page_names_every_recipe_and_what_each_block_learns_by():
    thinking = (AdaptiveRecipe, ResidualRecipe)
    recipes = {name for name in shipped_recipes() if isinstance(load_recipe(name), thinking)}
    assert recipes == {name for name in shipped_recipes() if f"`{name}`" in PAGE or f"train {name}" in PAGE}
    _, table = PAGE.split("| `model.block` |", 1)
    rows = re.findall(r"^\| `(\w+)` \|.*\| (`.*`) \|$", table.split("\n\n", 1)[0], re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", learns)) for name, learns in rows} == BLOCK_OBJECTIVES


@pytest.mark.parametrize("example", re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_the_examples_run(example):
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_commands_with_overrides_make_valid_recipes():
    for name, changes in re.findall(r"inverse-graphics train (\w+)((?: --set (?:\"[^\"]*\"|\S+))*)", PAGE):
        overrides = [quoted or plain for quoted, plain in re.findall(r'--set (?:"([^"]*)"|(\S+))', changes)]
        assert load_recipe(name, overrides).name == name
