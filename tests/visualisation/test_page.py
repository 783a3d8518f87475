import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inverse_graphics.inference.parse import Parse, ParsedObject
from inverse_graphics.rendering.rendered_scene import RenderedScene
from inverse_graphics.scene.scene_file import load_scene
from inverse_graphics.visualisation.page import Gallery, InferredImage, write_sheet
from inverse_graphics.visualisation.scene_outlines import draw_scene
from inverse_graphics.visualisation.svg import count_chart, share

VOID = {"meta", "image", "rect", "line", "path"}


class Balance(HTMLParser):
    """Checks that every tag is closed in order, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]


def inferred(image: np.ndarray, name: str, boxes, true_count) -> InferredImage:
    parse = Parse(
        image=name,
        model="m",
        count=len(boxes),
        count_probabilities=(0.2, 0.5, 0.3),
        log_likelihood=-12.0,
        warning="unlike <b>anything</b>",
        objects=tuple(ParsedObject(box_px=box) for box in boxes),
        camera=None,
        observation=image[::2, ::2],
        reconstruction=image[::2, ::2],
        prefixes=np.stack([image[::2, ::2]] * (len(boxes) + 1)),
    )
    return InferredImage(image, parse, true_count)


def in_space() -> InferredImage:
    scene = load_scene("single_mug")
    image = np.full((96, 128, 3), 0.5, np.float32)
    found = ParsedObject(
        box_px=(40.0, 30.0, 20.0, 20.0),
        identity="crockery/mug",
        identity_probability=0.97,
        position_m=(0.1, -0.2, 0.0),
    )
    square = np.zeros((2, 8, 8, 3), np.float32)
    parse = Parse("m", "m", 1, (0.1, 0.9), -1.0, None, (found,), None, square[0], square[1], square, scene)
    return InferredImage(image, parse, 2, ("crockery/mug", "crockery/<bowl>"))


def page(tmp_path) -> str:
    image = np.random.default_rng(0).random((20, 30, 3), np.float32)
    depth = np.where(np.arange(600).reshape(20, 30) < 90, np.inf, 0.8)
    scene = RenderedScene(load_scene("single_mug"), image, depth, np.eye(20, 30, dtype=np.int64))
    images = [
        inferred(image, "<img src=x>", [(4.0, 6.0, 8.0, 10.0)], 1),
        inferred(image, "b", [(4.0, 6.0, 8.0, 10.0)], 2),
        inferred(image, "c", [], None),
    ]
    galleries = [Gallery("Things & digits", "<i>Text</i>", images), Gallery("Space", "", [in_space()])]
    write_sheet(
        tmp_path / "sheet.html",
        "Title & more",
        galleries,
        {"<script>alert(1)</script> & co": scene},
        "made <today>",
    )
    return (tmp_path / "sheet.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_needs_no_other_file(tmp_path):
    text = page(tmp_path)
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    assert balance.links
    assert all(link.startswith("data:image/png;base64,") for link in balance.links)
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text


def test_names_are_shown_as_text_and_never_as_markup(tmp_path):
    text = page(tmp_path)
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>" not in text
    assert "/script&gt; &amp; co" in text
    assert "Things &amp; digits" in text
    assert "<i>Text" not in text
    assert "truly mug, &lt;bowl&gt;" in text


def test_the_pictures_in_the_page_are_the_pictures_given(tmp_path):
    image = np.rint(np.random.default_rng(0).random((20, 30, 3), np.float32) * 255)
    pictures = [
        np.asarray(Image.open(BytesIO(base64.b64decode(data))))
        for data in re.findall(r'data:image/png;base64,([^"]+)"', page(tmp_path))
    ]
    assert sum(picture.shape == (20, 30, 3) and (picture == image).all() for picture in pictures) == 4


def test_boxes_are_scaled_to_the_model_s_own_resolution(tmp_path):
    text = page(tmp_path)
    assert '<rect x="4.00" y="6.00" width="8.00" height="10.00"' in text
    assert '<rect x="2.00" y="3.00" width="4.00" height="5.00"' in text


def test_bars_are_as_tall_as_their_probabilities():
    heights = [float(h) for h in re.findall(r'height="([0-9.]+)"', count_chart((0.2, 0.5, 0.3), 1))]
    np.testing.assert_allclose(np.array(heights) / sum(heights), (0.2, 0.5, 0.3), atol=0.01)


@given(st.floats(0, 1))
def test_a_share_never_says_all_or_nothing_of_what_is_neither(probability):
    assert (share(probability) == "100%") == (probability == 1)
    assert (share(probability) == "0.0%") == (probability == 0)


def test_the_truth_stands_beside_the_answer(tmp_path):
    text = page(tmp_path)
    assert '1 object<span class="right">, right' in text
    assert '1 object<span class="wrong">, truly 2' in text
    assert '0 objects<span class="">' in text


def test_objects_in_space_are_outlined_named_and_placed(tmp_path):
    text = page(tmp_path)
    outlined = draw_scene(load_scene("single_mug"), 128, 96).outlines[0]
    paths = re.findall(r'<path d="([^"]*)"', text)
    assert len(paths) == 2  # a shade, and the line over it
    corners = np.array(
        [[float(n) for n in pair.split()] for pair in re.findall(r"[0-9.]+ [0-9.]+", paths[1])]
    )
    np.testing.assert_allclose(corners.min(0), np.concatenate(outlined).min(0), atol=0.06)
    np.testing.assert_allclose(corners.max(0), np.concatenate(outlined).max(0), atol=0.06)
    assert '<rect x="2.00" y="2.50" width="1.67" height="1.67"' in text  # its box on the canvas
    assert ">mug</text>" in text
    assert "mug 97.0% at 10, −20, 0 cm" in text


@pytest.mark.parametrize(
    ("true_count", "identities", "right"),
    [
        (None, None, None),
        (1, None, True),
        (2, None, False),
        (1, ("crockery/mug",), True),
        (1, ("crockery/bowl",), False),
        (2, ("crockery/mug", "crockery/mug"), False),
        (0, (), False),
    ],
)
def test_an_answer_is_right_if_it_names_what_is_there(true_count, identities, right):
    assert replace(in_space(), true_count=true_count, true_identities=identities).right is right
