"""What README and docs say is tried: commands exist with their options, and links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from inverse_graphics.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "train").rglob("*.md")])
GROUPS = {"assets", "models", "benchmark", "data", "study"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def commands() -> list[tuple[str, str]]:
    """(page, command line) of each call of the console script, in blocks and between backticks."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = "\n".join(blocks(page, "(?:sh|shell|bash|console)?")).splitlines()
        quoted = re.findall(r"`(inverse-graphics [^`\n]+)`", text)
        for line in [*lines, *quoted]:
            if match := re.search(r"inverse-graphics( +[a-z][^#|]*)", line):
                found.append((page.name, match[1].strip()))
    return sorted(set(found))


def test_readme_has_one_line_for_the_demo_and_one_for_the_tests():
    lines = "\n".join(blocks(ROOT / "README.md", "")).splitlines()
    one_line = [line for line in lines if line.startswith("python3 -m venv .venv && ")]
    assert [line.split(" && ")[-1] for line in one_line] == [
        ".venv/bin/inverse-graphics demo",
        ".venv/bin/pytest",
    ]
    assert all("pip install -q -c constraints.txt" in line for line in one_line)


@pytest.mark.parametrize(("page", "command"), commands(), ids=str)
def test_every_command_in_the_pages_exists_with_its_options(page, command, capsys):
    words = shlex.split(command.replace("…", "x").replace("...", "x").replace("[", "").replace("]", ""))
    name = words[: 2 if words[0] in GROUPS else 1]
    assert main([*name, "--help"]) == 0, f"{page}: {command}"
    text = capsys.readouterr().out
    for option in (word for word in words if re.match(r"--?[a-z]", word)):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), f"{page}: {command}: no option {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_link_to_is_there(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_check_of_every_change_calls_the_command_in_readme():
    pattern = re.search(r"grep -m 1 '(.*)' README\.md", (ROOT / ".ci" / "run").read_text())
    assert pattern
    found = [line for line in (ROOT / "README.md").read_text().splitlines() if re.search(pattern[1], line)]
    assert found[0].endswith("&& .venv/bin/pytest")
