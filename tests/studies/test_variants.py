"""Variants of a recipe: those that ship, those in a file, and what they make of a recipe."""

from typing import Any

import pytest

from inverse_graphics.errors import RecipeError
from inverse_graphics.studies.learn3d import OBJECTIVES
from inverse_graphics.studies.variants import (
    Variant,
    choose,
    read_variants,
    shipped_variants,
    varied_recipe,
)
from inverse_graphics.training.recipe import differences, load_recipe

SHIPPED = shipped_variants("learn3d")
ELBO = """\
name: mine
steps: 9
model: {kind: air3d, family: {kind: table_top}}
objective: {kind: elbo, samples: 3}
"""


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(ELBO)
    return file


def objective(recipe, variant, overrides=()) -> dict[str, Any]:
    return varied_recipe(recipe, variant, overrides).model_dump()["objective"]


@pytest.mark.parametrize("name", ["table_top", "table_top_known_camera", "single_object"])
def test_shipped_variants_change_nothing_but_the_objective_and_the_state(name):
    base = load_recipe(name)
    for variant in SHIPPED.values():
        changed = differences(base, varied_recipe(name, variant))
        others = {key for key in changed if not key.startswith("objective.")}
        assert others <= {"objective", "model.state"}, variant.name


def test_shipped_variants_differ_from_each_other():
    recipes = [varied_recipe("table_top", variant).to_yaml() for variant in SHIPPED.values()]
    assert len(set(recipes)) == len(recipes) >= len(OBJECTIVES)
    assert set(OBJECTIVES) <= set(SHIPPED)


def test_settings_of_another_kind_of_objective_fall_away_and_those_of_the_same_stay(recipe):
    assert objective(recipe, SHIPPED["sleep"])["kind"] == "sleep"
    assert objective(recipe, SHIPPED["elbo"])["samples"] == 3
    assert varied_recipe(recipe, Variant("bare", ())) == load_recipe(recipe)


def test_what_is_set_for_all_runs_comes_last(recipe):
    variant = Variant("five", ("objective.samples=5", "batch_size=2"))
    assert objective(recipe, variant)["samples"] == 5
    assert objective(recipe, variant, ["objective.samples=4"])["samples"] == 4
    assert varied_recipe(recipe, variant, ["batch_size=7"]).batch_size == 7


def test_a_file_gives_variants_in_its_order(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("elbo+curriculum: [objective.kind=elbo, steps=7]\nas/it/is: []\n")
    own = read_variants(file)
    assert list(own) == ["elbo+curriculum", "as/it/is"]
    assert own["elbo+curriculum"].overrides == ("objective.kind=elbo", "steps=7")
    assert own["as/it/is"].file_name == "as-it-is"
    assert choose(["as/it/is", "as/it/is"], own) == [own["as/it/is"]]


NO_VARIANTS = {
    "a/b: []\na-b: []\n": "would share their files",
    "../up: []\n": "expected text that matches",
    "one: two\n": "expected a list",
    "[1, 2]\n": "expected a mapping",
    "one: [": "not valid YAML",
}


@pytest.mark.parametrize(("content", "message"), NO_VARIANTS.items())
def test_a_file_of_something_else_is_reported_in_one_line(tmp_path, content, message, one_line_error):
    file = tmp_path / "own.yaml"
    file.write_text(content)
    with one_line_error(RecipeError, message, file):
        read_variants(file)


def test_a_variant_that_does_not_fit_is_named(recipe):
    with pytest.raises(
        RecipeError, match=r"variant odd: a recipe has no key 'objective\.sample': did you mean"
    ):
        varied_recipe(recipe, Variant("odd", ("objective.sample=3",)))
    with pytest.raises(RecipeError, match=r"variant odd: .*objective"):
        varied_recipe(recipe, Variant("odd", ("objective.kind=dream",)))


def test_an_unknown_name_gets_the_nearest_and_all():
    with pytest.raises(
        RecipeError, match=r"no variant 'slep': did you mean sleep.*known variants: sleep, wake_sleep"
    ):
        choose(["elbo", "slep"], SHIPPED)
