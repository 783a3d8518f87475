"""The Python in README, on the first page and in the tutorials runs; every example is shown."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs" / "index.md", *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
SNIPPET = re.compile(r'--8<-- "examples/(\w+\.py)"\n')
"""A block that the site replaces by a script, which test_examples.py runs."""


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


BLOCKS = {block: page.name for page in PAGES for block in python_blocks(page) if not SNIPPET.fullmatch(block)}


@pytest.mark.parametrize("block", [pytest.param(block, id=page) for block, page in BLOCKS.items()])
def test_python_in_the_pages_runs(block, tmp_path):
    """In a folder that holds only pictures of docs/, without a warning."""
    (tmp_path / "docs").mkdir()
    for picture in ("table.png", "digits.png"):
        shutil.copy(ROOT / "docs" / picture, tmp_path / "docs")
    command = [sys.executable, "-W", "error", "-c", block]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_readme_goes_from_an_image_to_a_scene_in_five_lines_and_back_in_three():
    blocks = python_blocks(ROOT / "README.md")
    assert [len([line for line in block.splitlines() if line]) for block in blocks] == [5, 3]
    assert python_blocks(ROOT / "docs" / "index.md") == blocks


def test_every_example_is_shown_in_one_tutorial():
    shown = [
        match[1] for page in PAGES for block in python_blocks(page) if (match := SNIPPET.fullmatch(block))
    ]
    assert sorted(shown) == sorted(file.name for file in (ROOT / "examples").glob("*.py"))
