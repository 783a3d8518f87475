"""Families by name, by file and by settings."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from inverse_graphics.errors import SceneError
from inverse_graphics.families.family import SceneFamily
from inverse_graphics.families.registry import build_family, load_family, read_family, shipped_families
from inverse_graphics.families.single_object import SingleObjectSettings
from inverse_graphics.families.table_top import TableTopSettings
from inverse_graphics.training.recipe import Air3DRecipe, load_recipe


@pytest.mark.parametrize("name", shipped_families())
def test_shipped_families_keep_the_protocol_and_make_scenes_of_their_kinds(name):
    family = load_family(name)
    assert isinstance(family, SceneFamily)
    assert family.library.names == family.kinds
    assert len(family.symmetries) == len(family.kinds)
    assert sum(family.count_probabilities) == pytest.approx(1)
    assert len(family.count_probabilities) == family.max_objects + 1
    sample = family.sample(50, torch.Generator().manual_seed(0))
    objects, camera = sample.scene.objects, sample.scene.camera
    assert objects.asset.shape == sample.latents.asset.shape == (50, family.max_objects)
    assert (camera.height, camera.width) == (family.image_size, family.image_size)
    assert sample.latents.orbit.shape == (50, 3)
    for index in range(50):
        assert len(sample.scene.scene(index, family.library).objects) == int(sample.latents.counts[index])


def test_files_say_what_the_code_has_by_default():
    assert set(shipped_families()) >= {"table_top", "single_object", "table_top_known_camera"}
    for shipped, default in (("table_top", TableTopSettings()), ("single_object", SingleObjectSettings())):
        assert read_family(shipped).model_copy(update={"description": ""}) == default


@pytest.mark.parametrize("name", ["table_top", "table_top_known_camera", "single_object"])
def test_data_sets_of_a_name_show_what_the_model_of_that_name_knows(name):
    """The family of the shipped recipe, value by value."""
    recipe = load_recipe(name)
    assert isinstance(recipe, Air3DRecipe)
    known = recipe.model.family
    assert read_family(name).model_copy(update={"description": known.description}) == known


def test_the_simplest_table_top_is_seen_from_a_known_place():
    settings = read_family("table_top_known_camera")
    assert isinstance(settings, TableTopSettings)
    assert settings.camera_known
    assert settings.max_objects == 2
    assert settings.repeats


def test_settings_survive_a_file(tmp_path):
    settings = TableTopSettings(repeats=False, azimuth_degrees=-80, clearance_m=0.02)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    assert read_family(file) == settings
    assert load_family(file).packs_hash == build_family(settings).packs_hash


def test_the_example_in_the_page_is_a_family(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "families.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "mine.yaml"
    file.write_text(example)
    counts = load_family(file).sample(100, torch.Generator().manual_seed(0)).latents.counts
    assert set(counts.tolist()) == {1, 2}


def test_the_hash_distinguishes_packs_apart():
    assert load_family("table_top").packs_hash != load_family("single_object").packs_hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: table_top\nreach: 3", "reach: unknown field, did you mean reach_m"),
        ("kind: moon", "expected kind 'single_object' or 'table_top', got 'moon'"),
        ("{}", "kind"),
        ("- 1", "expected a mapping with 'kind'"),
        ("kind: table_top\ncount_weights: [0, 0]", "at least one of them positive"),
    ],
)
def test_files_that_are_no_family_are_reported_in_one_line(tmp_path, text, message, one_line_error):
    file = tmp_path / "family.yaml"
    file.write_text(text)
    with one_line_error(SceneError, message, file):
        load_family(file)


def test_an_unknown_name_is_answered_with_those_that_are_near():
    with pytest.raises(SceneError, match="no scene family 'tabletop': did you mean table_top"):
        load_family("tabletop")
