"""Maps of where each step looks, drawn."""

import numpy as np
import pytest
from PIL import Image

from inverse_graphics.studies.counting_plots import plot_scanning


@pytest.mark.parametrize(
    ("networks", "blocks", "rows"), [(1, 1, 1), (5, 1, 5), (6, 2, 3), (7, 2, 4), (20, 4, 5)]
)
def test_many_networks_lie_side_by_side(tmp_path, networks, blocks, rows):
    maps = {f"seed {n}": np.ones((2, 25, 25), np.int64) for n in range(networks)}
    plot_scanning(maps, tmp_path)
    with Image.open(tmp_path / "scanning.png") as picture:
        assert picture.size == (round(120 * 3.6 * blocks), round(120 * (1.5 * rows + 0.4)))
    drawn = (tmp_path / "scanning.svg").read_text()
    assert all(f">seed {n}<" in drawn for n in range(networks))
    assert drawn.count("625 objects") == 2 * networks
    assert drawn.count("step 2") == blocks
