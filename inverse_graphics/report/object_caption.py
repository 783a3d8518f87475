"""What an object is called, for people."""

from __future__ import annotations

from inverse_graphics.parse import ParsedObject
from inverse_graphics.report.count_chart import share


def short_name(identity: str) -> str:
    """An asset's name without its pack's."""
    return identity.rpartition("/")[2]


def object_caption(found: ParsedObject) -> str:
    """An object's name and how certain it is; empty where objects have no names."""
    name = short_name(found.identity or "")
    return name if found.identity_probability is None else f"{name} {share(found.identity_probability)}"
