"""The pages name every setting of images in the plane, with its default."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic_core import PydanticUndefined

from inverse_graphics.data.multi_object import MultiObjectSettings
from inverse_graphics.models.air2d.network import Air2DSettings
from inverse_graphics.models.estimators.estimator import ESTIMATORS

DOCS = Path(__file__).parents[2] / "docs"
OBJECTIVES = tuple(ESTIMATORS.values())


def documented(page, heading):
    """Settings and defaults in the table that begins so."""
    _, table = (DOCS / page).read_text(encoding="utf-8").split(f"\n| {heading} | default | |\n", 1)
    rows = re.findall(r"^\| `(\S+)` \| (.+?) \|", table.split("\n\n", 1)[0], re.MULTILINE)
    return {name: yaml.safe_load(value.strip("`")) for name, value in rows}


def defaults(*kinds):
    """Names with defaults as YAML has them, but for `kind`; sections as their own settings."""
    found = {}
    for kind in kinds:
        for name, field in kind.model_fields.items():
            if name != "kind":
                value = field.get_default()
                assert value is not PydanticUndefined
                value = value.model_dump() if hasattr(value, "model_dump") else value
                found[name] = list(value) if isinstance(value, tuple) else value
    return found


@pytest.mark.parametrize(
    ("page", "heading", "kinds"),
    [
        ("training.md", "`model.`, in the plane", (Air2DSettings,)),
        ("training.md", "`objective.`, in the plane", OBJECTIVES),
        ("data.md", "`data.`", (MultiObjectSettings,)),
    ],
)
def test_tables_are_the_codes(page, heading, kinds):
    assert documented(page, heading) == defaults(*kinds)


def test_the_page_on_estimators_names_each():
    rows = re.findall(r"^\| `(\w+)`", (DOCS / "how" / "air.md").read_text(encoding="utf-8"), re.MULTILINE)
    kinds = [get_args(kind.model_fields["kind"].annotation)[0] for kind in OBJECTIVES]
    assert rows == kinds
