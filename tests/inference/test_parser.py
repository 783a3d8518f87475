"""The parser's batching and refusals; accuracy is tested with training."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st
from PIL import Image

from inverse_graphics.errors import ImageError, ModelError
from inverse_graphics.inference.parse import Parse, ParsedObject
from inverse_graphics.inference.parser import BATCH_SIZE, SceneParser, load_parser
from inverse_graphics.models.air2d.network import Air2D, Air2DSettings
from inverse_graphics.models.weights import LoadedModel, ModelDocument

SETTINGS = Air2DSettings(features=8, hidden=8, head=8, what=3, glimpse_hidden=8, presence_bias=20)


@pytest.fixture(scope="module")
def parser() -> SceneParser:
    """An untrained network that believes in objects."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Air2D(SETTINGS).eval()
    return SceneParser(LoadedModel("untrained", network, ModelDocument(kind="air2d", settings={})))


def test_a_kind_of_model_that_reads_no_images_is_refused():
    with pytest.raises(
        ModelError, match="'m' is of kind 'decoder', which cannot parse images: expected one of air2d"
    ):
        SceneParser(LoadedModel("m", torch.nn.Identity(), ModelDocument(kind="decoder", settings={})))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 5, 4)),
        np.zeros(7),
        np.zeros((0, 5)),
        np.full((9, 9), np.nan),
        np.zeros((2, 30, 40, 3)),
        np.full((50, 50, 3), 200.0),
        np.full((50, 50, 3), 200),
        "no such file.png",
        5,
        None,
    ],
)
def test_what_is_no_image_is_refused_alone_and_among_others(parser, image):
    with pytest.raises(ImageError, match=r"expected|finite|no such file") as alone:
        parser.parse(image)
    with pytest.raises(ImageError, match=r"expected|finite|no such file") as among:
        parser.parse([np.zeros((50, 50)), image])
    with pytest.raises(ImageError, match=r"expected|finite|no such file"):
        list(parser.parse_stream([("frame 9", image)]))
    assert "\n" not in str(alone.value)
    if not isinstance(image, str):
        assert str(alone.value).startswith("image '0' ")
        assert str(among.value).startswith("image '1' ")


def same(one, other) -> bool:
    """Whether two parses are equal to the last bit, apart from their names."""
    return (one.to_json() | {"image": ""}) == (other.to_json() | {"image": ""}) and np.array_equal(
        one.prefixes, other.prefixes
    )


@settings(max_examples=20)
@given(numpy_st.arrays(np.uint8, st.tuples(st.integers(8, 60), st.integers(8, 60), st.just(3))))
def test_the_same_picture_gives_the_same_answer_in_every_form(parser, levels):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        Image.fromarray(levels).save(path)
        forms = [
            path,
            str(path),
            Image.fromarray(levels),
            levels,
            levels.astype(np.uint16) * 257,
            levels.astype(np.float32) / np.float32(255),
            levels / 255,
            torch.from_numpy(levels),
        ]
        parses = [parser.parse(form) for form in forms]
    assert [parse.image for parse in parses] == [str(path), str(path), *["0"] * 6]
    assert all(same(parse, parses[0]) for parse in parses)


@pytest.mark.parametrize("image", [np.eye(50), np.eye(50, dtype=bool), Image.new("L", (30, 40), 99)])
def test_one_image_gives_one_parse_and_a_list_of_one_gives_a_list(parser, image):
    alone, listed = parser.parse(image), parser.parse([image])
    assert isinstance(alone, Parse)
    assert isinstance(listed, list)
    assert len(listed) == 1
    assert same(alone, listed[0])
    assert same(alone, parser.parse(image, "named"))
    assert same(alone, next(parser.parse_stream([("named", image)])))


def test_several_images_may_come_in_any_iterable_and_a_batch_as_a_list(parser):
    batch = np.random.default_rng(3).random((3, 50, 50, 3))
    expected = [parser.parse(image) for image in batch]
    for several in (list(batch), tuple(batch), iter(batch), list(torch.from_numpy(batch))):
        parses = parser.parse(several)
        assert [parse.image for parse in parses] == ["0", "1", "2"]
        assert [parse.count for parse in parses] == [parse.count for parse in expected]
    with pytest.raises(ImageError, match=r"list\(images\)"):
        parser.parse(batch)
    assert parser.parse([]) == []


def test_names_are_given_or_those_of_the_paths(parser, tmp_path):
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    blank = np.zeros((50, 50))
    assert parser.parse(blank, "b").image == "b"
    assert parser.parse(tmp_path / "a.png", names="b").image == "b"
    mixed = parser.parse([blank, tmp_path / "a.png", blank])
    assert [parse.image for parse in mixed] == ["0", str(tmp_path / "a.png"), "2"]
    assert [parse.image for parse in parser.parse([blank, blank], ["x", "y"])] == ["x", "y"]
    for images, names in (([blank, blank], ["x"]), ([blank, blank], "xy"), (blank, ["x", "y"]), ([], ["x"])):
        with pytest.raises(ImageError, match=r"got \d names for \d images: expected one for each"):
            parser.parse(images, names)


def test_answers_do_not_depend_on_the_batch(parser):
    rng = np.random.default_rng(1)
    images = [rng.random((50, 50)).astype(np.float32) for _ in range(BATCH_SIZE + 3)]
    together = parser.parse(images)
    assert [parse.image for parse in together] == [str(index) for index in range(BATCH_SIZE + 3)]
    for index in (0, BATCH_SIZE - 1, BATCH_SIZE, BATCH_SIZE + 2):
        alone = parser.parse(images[index], "alone")
        assert alone.count == together[index].count
        assert alone.log_likelihood == pytest.approx(together[index].log_likelihood, rel=1e-4)
        assert np.allclose(alone.reconstruction, together[index].reconstruction, atol=1e-5)


def test_an_answer_is_complete(parser):
    parse = parser.parse(np.eye(50, dtype=np.float32), "diagonal.png")
    assert parse.count == 3
    assert len(parse.objects) == parse.count
    assert parse.prefixes.shape == (4, 50, 50, 3)
    assert (parse.prefixes[0] == 0).all()
    assert (parse.reconstruction == parse.prefixes[3]).all()
    assert sum(parse.count_probabilities) == pytest.approx(1, abs=1e-5)
    document = parse.to_json()
    assert list(document)[:8] == [
        "image", "model", "count", "count_probabilities", "log_likelihood", "warning", "objects", "camera",
    ]  # fmt: skip
    assert document["image"] == "diagonal.png"
    assert document["model"] == "untrained"
    assert document["camera"] is None
    assert document["warning"] is None
    assert {"identity", "identity_probability", "box_px"} <= document["objects"][0].keys()


def test_log_likelihood_is_that_of_the_reconstruction(parser):
    rng = np.random.default_rng(2)
    parse = parser.parse(rng.random((50, 50)).astype(np.float32))
    error = parse.observation[..., 0] - parse.reconstruction[..., 0]
    sigma = SETTINGS.sigma
    expected = -0.5 * np.square(error / sigma).sum() - error.size * np.log(sigma * np.sqrt(2 * np.pi))
    assert parse.log_likelihood == pytest.approx(expected, rel=1e-3)


def test_a_parse_is_printed_in_a_few_lines(parser):
    parse = parser.parse(np.eye(50), "diagonal.png")
    assert len(repr(parse)) < 250
    assert repr(parse).startswith("Parse('diagonal.png', count=3, objects=[box (")
    first, *objects = str(parse).splitlines()
    assert first == f"diagonal.png: 3 objects, probability {parse.count_probabilities[3]:.2f}"
    assert [line.split()[0] for line in objects] == ["box"] * 3
    mug = ParsedObject((0.0, 0.0, 9.0, 9.0), "crockery/mug", 0.9, (0.1234, -0.2, 0.0))
    changed = replace(parse, count=1, objects=(mug,), warning="unlike the training images")
    assert str(changed).splitlines()[1:] == [
        "  crockery/mug at (0.123, -0.200, 0.000) m",
        "  warning: unlike the training images",
    ]
    assert ": 1 object, " in str(changed)
    assert repr(changed).endswith("count=1, objects=[crockery/mug at (0.123, -0.200, 0.000) m])")


def test_an_image_may_have_any_name():
    parser = load_parser("multi_mnist")
    for name in ("x" * 5000, "a\0b", ""):
        assert parser.parse(np.zeros((50, 50, 3), np.float32), names=name).image == name
