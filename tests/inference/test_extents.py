"""Boxes from projected meshes are those of what is drawn."""

import pytest
import torch

from inverse_graphics.families.registry import load_family
from inverse_graphics.inference.air3d_reader import Extents
from inverse_graphics.rendering.engines import make_engine
from inverse_graphics.rendering.supersampled import enlarged


@pytest.mark.parametrize("name", ["table_top", "single_object"])
def test_boxes_hold_what_is_drawn_and_no_more(name):
    family = load_family(name)
    sample = family.sample(12, torch.Generator().manual_seed(3)).scene
    camera = enlarged(sample.camera, 4)
    boxes = Extents(family.library).boxes(sample.objects, camera)
    alpha = make_engine("embedded", family.library).layers(sample.objects, camera, sample.light).alpha
    checked = 0
    for b, n in (sample.objects.asset >= 0).nonzero().tolist():
        rows, columns = (alpha[b, n] > 0.5).nonzero(as_tuple=True)
        drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        x, y, width, height = boxes[b, n].tolist()
        if min(x, y) < 0 or max(x + width, y + height) > camera.width:
            continue
        assert (x, y, x + width, y + height) == pytest.approx([float(edge) for edge in drawn], abs=1.5)
        checked += 1
    assert checked >= 10
