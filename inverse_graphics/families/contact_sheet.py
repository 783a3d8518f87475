"""The first pictures of a data set side by side."""

from __future__ import annotations

from PIL import Image

from inverse_graphics.families.dataset import Dataset

COLUMNS, ROWS = 8, 4
CELL = 128
"""The least side of a picture on the sheet, pixels; small pictures are enlarged by whole numbers."""
GAP = 4


def contact_sheet(dataset: Dataset) -> Image.Image:
    """Lay out the first 32 pictures, each pixel as it is."""
    count = min(len(dataset), COLUMNS * ROWS)
    size = dataset.document.settings.family.image_size
    side = size * max(1, -(-CELL // size))
    columns, rows = min(count, COLUMNS), -(-count // COLUMNS)
    sheet = Image.new("RGB", (columns * (side + GAP) + GAP, rows * (side + GAP) + GAP), "white")
    for index in range(count):
        row, column = divmod(index, COLUMNS)
        with Image.open(dataset.path("images", index)) as picture:
            enlarged = picture.resize((side, side), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (GAP + column * (side + GAP), GAP + row * (side + GAP)))
    return sheet
