from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from line_task import recipe

from inverse_graphics.errors import RecipeError
from inverse_graphics.io.documents import parse_yaml
from inverse_graphics.training.recipe import (
    Air2DRecipe,
    Air3DRecipe,
    differences,
    load_recipe,
    shipped_recipes,
    with_current_keys,
    with_earlier_values,
    with_overrides,
)

TEXT = "name: digits\nsteps: 10\noptimiser: {learning_rate: 1e-3}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "digits.yaml").write_text(TEXT)
    return tmp_path / "digits.yaml"


def test_a_recipe_written_out_reads_as_itself() -> None:
    for one in (recipe(), recipe(data={"count_weights": [0, 1, 2, 3], "digits": "shipped"}, threads=2)):
        document = parse_yaml(one.to_yaml(), "test", RecipeError)
        assert Air2DRecipe.model_validate(document) == one


def test_overrides_are_yaml_values_at_dotted_keys(path: Path) -> None:
    overrides = [
        "optimiser.learning_rate=5e-4",
        "optimiser.gradient_clip=null",
        "optimiser.decay=cosine",
        "data.count_weights=[1, 2]",
        "evaluation.every=7",
        "name=a=b".replace("=b", "-b"),
        "steps=20",
        "steps=30",
    ]
    made = load_recipe(path, overrides)
    assert isinstance(made, Air2DRecipe)
    assert made.optimiser.learning_rate == 5e-4
    assert made.optimiser.gradient_clip is None
    assert made.optimiser.decay == "cosine"
    assert made.data.count_weights == (1, 2)
    assert made.evaluation.every == 7
    assert made.name == "a-b"
    assert made.steps == 30


def test_an_override_leaves_the_document_and_the_other_keys_alone() -> None:
    document: dict[str, Any] = {"name": "digits", "optimiser": {"learning_rate": 1.0, "decay": "linear"}}
    changed = with_overrides(document, ["optimiser.learning_rate=2"])
    assert changed["optimiser"] == {"learning_rate": 2, "decay": "linear"}
    assert document["optimiser"]["learning_rate"] == 1.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.learning_rat=1", r"did you mean optimiser\.learning_rate"),
        ("learning_rate=1", r"did you mean optimiser\.learning_rate"),
        ("optimizer.learning_rate=1", r"did you mean optimiser\.learning_rate"),
        ("zzzzzz=1", "known keys: name, data, model"),
        ("steps", "not key=value"),
        ("=3", "not key=value"),
        ("steps=many", "steps"),
        ("steps=0", "steps"),
        ("steps=[1", "not valid YAML"),
        ("steps=!!python/object:os.system 1", "tag"),
        ("steps.more=1", r"no key 'steps\.more'"),
        ("name=../../etc", "name"),
        ("model.image_size=28", r"model\.image_size 28 is not data\.size 50"),
        ("data.count_weights=[1, 1, 1, 1, 1]", "max_objects 3 is less than the 4"),
        ("objective.longest_prefix=1", r"objective\.longest_prefix 1 is less than the 2 objects"),
        ("optimiser.learning_rate=-1", r"optimiser\.learning_rate"),
        ("optimiser=3", "optimiser"),
    ],
)
def test_an_override_that_is_wrong_is_one_line(
    path: Path, override: str, message: str, one_line_error: Any
) -> None:
    with one_line_error(RecipeError, message):
        load_recipe(path, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a recipe"),
        ("[1, 2]", "not a recipe"),
        ("name: digits", "steps"),
        ("name: digits\nsteps: 10\nstepz: 3", "stepz"),
        ("name: digits\nsteps: 10\nmodel: {kind: air9d}", "kind"),
        ("name: [", "not valid YAML"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("name: digits\nsteps: .inf", "steps"),
    ],
)
def test_a_recipe_that_is_wrong_is_one_line(path: Path, text: str, message: str, one_line_error: Any) -> None:
    path.write_text(text)
    with one_line_error(RecipeError, message):
        load_recipe(path)


def test_a_missing_file_and_an_unknown_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "inverse_graphics.training.recipe.shipped_recipes"
    monkeypatch.setattr(module, lambda: {"multi_mnist": Path("a"), "crockery": Path("b")})
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe("nowhere.yaml")
    expected = r"did you mean multi_mnist\? expected multi_mnist, crockery"
    with pytest.raises(RecipeError, match=expected):
        load_recipe("multi_mnst")


def test_every_shipped_recipe_is_valid_and_bears_its_name() -> None:
    for name in shipped_recipes():
        assert load_recipe(name).name == name


def test_differences_name_the_keys() -> None:
    assert differences(recipe(), recipe()) == []
    other = recipe(seed=4, data={"size": 60}, model={"image_size": 60})
    assert differences(recipe(), other) == ["data.size", "model.image_size", "seed"]


OLD = ["objective.kept=3", "objective.turn_steps=4", "objective.remembered=5", "objective.memory=6"]
NEW = [
    "objective.kept_proposals=3",
    "objective.orientation_steps=4",
    "objective.replay_ratio=5",
    "objective.replay_capacity=6",
]


def test_keys_of_older_recipes_are_still_read():
    assert load_recipe("single_object", OLD) == load_recipe("single_object", NEW)
    old = {"objective": {"misjudgement": {"turn_degrees": 3}, "kind": "sleep"}, "model": {"memory": "none"}}
    new = {
        "objective": {"state_perturbation": {"orientation_degrees": 3}, "kind": "sleep"},
        "model": {"memory": "none"},
    }
    assert with_current_keys(old) == new == with_current_keys(new)


def test_a_key_under_both_of_its_names_is_one_line():
    with pytest.raises(RecipeError, match=r"objective.kept is the old name of objective.kept_proposals"):
        with_current_keys({"objective": {"kept": 1, "kept_proposals": 2}})


def test_what_a_run_did_not_store_has_the_value_of_that_time() -> None:
    model = {"kind": "air3d", "family": {"kind": "table_top"}}
    stored = {"name": "old", "steps": 5, "model": model, "objective": {"kind": "sleep", "tie_m": 0.05}}
    before = Air3DRecipe.model_validate(with_earlier_values(stored))
    now = Air3DRecipe.model_validate(stored)
    assert not before.model.normalise_maps
    assert differences(before, now) == ["model.normalise_maps", "objective.uniform_mixture_weight"]
    written = now.model_dump(mode="json")
    assert with_earlier_values(written) == written
    digits = {"name": "digits", "steps": 10}
    assert with_earlier_values(digits) == digits
