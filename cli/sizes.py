"""Sizes of pictures as people type them."""

from __future__ import annotations

import re

import typer


def parsed_size(text: str) -> tuple[int, int]:
    """Turn "640x480" into (640, 480), width and height; anything else is wrong usage."""
    parts = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if parts is None or not all(1 <= int(side) <= 4096 for side in parts.groups()):
        raise typer.BadParameter(f"got {text!r}, expected WIDTHxHEIGHT, each 1 to 4096", param_hint="--size")
    return int(parts[1]), int(parts[2])
