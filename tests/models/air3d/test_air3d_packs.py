"""A model's folder holds the objects of one's own packs, and knows when they have changed."""

import shutil
from pathlib import Path

import pytest
import torch
import trimesh
import yaml
from small_air3d import fresh_model, seeded, table

from inverse_graphics.errors import AssetError, ModelError, RecipeError
from inverse_graphics.families.registry import read_family
from inverse_graphics.inference.parser import load_parser
from inverse_graphics.models.air3d.network import Air3D
from inverse_graphics.models.weights import ModelDocument, load_model, save_model
from inverse_graphics.packs import pack as pack_module
from inverse_graphics.packs.pack import load_pack
from inverse_graphics.training.recipe import Air3DRecipe, load_recipe
from inverse_graphics.training.run import _with_packs

SHAPES = {"tin": (0.07, 0.07, 0.12), "box": (0.1, 0.06, 0.08), "slab": (0.2, 0.1, 0.02)}


def entry(name: str) -> dict[str, object]:
    return {"mesh": f"meshes/{name}.obj", "unit": "m", "up_axis": "z"}


def write_manifest(folder: Path, **objects: dict[str, object]) -> None:
    manifest = {"name": "kitchen", "version": "1", "licence": "CC0-1.0", "objects": objects}
    (folder / "pack.yaml").write_text(yaml.safe_dump(manifest))


@pytest.fixture
def kitchen(tmp_path) -> Path:
    """Three boxes, each with a material in a file of its own, and a file that no object needs."""
    folder = tmp_path / "my_pack"
    (folder / "meshes").mkdir(parents=True)
    for name, sides in SHAPES.items():
        solid = trimesh.creation.box(sides)
        solid.apply_translation((0, 0, sides[2] / 2))
        text = trimesh.exchange.obj.export_obj(solid)
        (folder / "meshes" / f"{name}.obj").write_text(f"mtllib {name}.mtl\nusemtl paint\n{text}")
        (folder / "meshes" / f"{name}.mtl").write_text(f"newmtl paint\nKd 0.8 0.{len(name)} 0.1\n")
    (folder / "meshes" / "notes.obj").write_text("no mesh")
    write_manifest(folder, **{name: entry(name) for name in SHAPES})
    return folder


@pytest.fixture
def saved(kitchen, tmp_path) -> Path:
    """A model that knows two of them, and a shipped mug."""
    kinds = ["kitchen/box", "kitchen/tin", "crockery/mug"]
    family = table() | {"kinds": kinds, "packs": [str(kitchen)]}
    model = fresh_model(family)
    settings = model.settings.model_dump(mode="json")
    document = ModelDocument(kind="air3d", settings=settings, recipe={"model": settings})
    save_model(tmp_path / "model", model, document, "a card\n")
    return tmp_path / "model"


def test_the_folder_holds_what_the_model_knows_and_no_more(saved, kitchen):
    held = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    meshes = {f"packs/kitchen/meshes/{name}.{suffix}" for name in ("box", "tin") for suffix in ("obj", "mtl")}
    assert held == {"README.md", "model.json", "weights.safetensors", "packs/kitchen/pack.yaml"} | meshes
    assert str(kitchen.parent) not in (saved / "model.json").read_text()
    original, copy = load_pack(kitchen), load_pack(saved / "packs" / "kitchen")
    for name in ("box", "tin"):
        assert all(
            (one == other).all()
            for one, other in zip(
                vars(original.mesh(name)).values(), vars(copy.mesh(name)).values(), strict=True
            )
            if one is not None
        )


def answer(model: Path, image) -> dict[str, object]:
    return load_parser(model).parse(image).to_json() | {"model": None}


def test_the_folder_works_elsewhere_after_the_pack_is_gone(saved, kitchen, tmp_path, monkeypatch):
    image = torch.rand(32, 32, 3, generator=seeded()).numpy()
    before = answer(saved, image)
    moved = tmp_path / "other" / "place"
    moved.parent.mkdir()
    shutil.move(saved, moved)
    shutil.rmtree(kitchen)
    monkeypatch.chdir(tmp_path)
    assert answer(moved, image) == before
    loaded = load_model("other/place")
    assert isinstance(loaded.module, Air3D)
    assert loaded.document.recipe == {"model": loaded.document.settings}
    again = tmp_path / "again"
    save_model(again, loaded.module, loaded.document, "a card\n")  # a copy of a copy
    assert answer(again, image) == before


def test_another_object_or_description_does_not_matter(saved, kitchen):
    write_manifest(kitchen, box=entry("box"), tin=entry("tin") | {"crease_degrees": 30}, slab=entry("slab"))
    load_model(saved, [load_pack(kitchen)])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"box": {"unit": "cm"}}, "kitchen/box: bounding box 0.1 × 0.1 × 0.1 cm"),
        ({"tin": {"colour": [0, 0, 1]}}, "kitchen/tin: colour 0.00, 0.00, 1.00, before 0.80, 0.30, 0.10"),
        (
            {"box": {"symmetry": {"discrete": [{"axis": "z", "fold": 2}]}}},
            "kitchen/box: symmetry 2 rotations",
        ),
    ],
)
def test_an_object_that_has_changed_is_named_and_how(saved, kitchen, changed, told, one_line_error):
    write_manifest(kitchen, **{name: entry(name) | changed.get(name, {}) for name in SHAPES})
    with one_line_error(ModelError, told):
        load_model(saved, [load_pack(kitchen)])
    load_model(saved)  # its own copy has not


def test_a_copy_that_was_changed_is_noticed(saved, one_line_error):
    (saved / "packs/kitchen/meshes/tin.mtl").write_text("newmtl paint\nKd 0 0 0\n")
    with one_line_error(ModelError, "kitchen/tin: colour 0.00, 0.00, 0.00, before 0.80, 0.30, 0.10"):
        load_model(saved)


def test_a_model_s_file_cannot_name_packs_outside_its_folder(saved, tmp_path):
    other = shutil.copytree(saved / "packs" / "kitchen", tmp_path / "stolen")
    text = (saved / "model.json").read_text()
    (saved / "model.json").write_text(text.replace('"packs/kitchen"', f'"{other}"'))
    (other / "pack.yaml").write_text("name: nonsense")
    load_model(saved)  # `packs` in the file does not count


def test_too_much_is_not_copied(saved, kitchen, tmp_path, monkeypatch, one_line_error):
    monkeypatch.setattr(pack_module, "MAX_COPIED_BYTES", 1000)
    with one_line_error(AssetError, "make textures or meshes smaller"):
        load_pack(kitchen).copy(tmp_path / "copy", SHAPES)
    assert not (tmp_path / "copy").exists()


def test_files_name_packs_relative_to_themselves(kitchen, tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    family = {"kind": "table_top", "kinds": ["kitchen/tin"], "packs": ["../my_pack"]}
    recipe = load_recipe("table_top").model_dump(mode="json")
    recipe["model"]["family"] = family
    (tmp_path / "recipes" / "family.yaml").write_text(yaml.safe_dump(family))
    (tmp_path / "recipes" / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir("/")
    assert read_family(tmp_path / "recipes" / "family.yaml").packs == (str(kitchen),)
    loaded = load_recipe(tmp_path / "recipes" / "recipe.yaml")
    assert isinstance(loaded, Air3DRecipe)
    assert loaded.model.family.packs == (str(kitchen),)


def test_a_recipe_takes_all_objects_of_a_pack_unless_it_names_some(kitchen, one_line_error):
    pack = load_pack(kitchen)
    family = _with_packs(load_recipe("table_top"), [pack]).model.family  # type: ignore[attr-defined]
    assert family.kinds == ("kitchen/box", "kitchen/slab", "kitchen/tin")
    named = load_recipe("table_top", ["model.family.kinds=[kitchen/tin,crockery/mug]"])
    assert _with_packs(named, [pack]).model.family.kinds == ("kitchen/tin", "crockery/mug")  # type: ignore[attr-defined]
    with one_line_error(RecipeError, "trains no 3D model"):
        _with_packs(load_recipe("multi_mnist"), [pack])


def test_a_pack_that_is_not_there_and_two_of_one_name(kitchen, tmp_path, one_line_error):
    with one_line_error(AssetError, "no asset pack '/nowhere'"):
        fresh_model(table() | {"kinds": ["kitchen/tin"], "packs": ["/nowhere"]})
    with one_line_error(AssetError, "asset 'kitchen/tin': no pack 'kitchen'.*--pack"):
        fresh_model(table() | {"kinds": ["kitchen/tin"]})
    twin = shutil.copytree(kitchen, tmp_path / "twin")
    with one_line_error(AssetError, "two packs are called 'kitchen'"):
        fresh_model(table() | {"kinds": ["kitchen/tin"], "packs": [str(kitchen), str(twin)]})
