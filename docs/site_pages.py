"""A hook of mkdocs: adds the pages above docs/ to the site, and one reference page for each package."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
TOP_PAGES = ("BENCHMARKS.md", "CHANGELOG.md", "CONTRIBUTING.md")
PACKAGE = "inverse_graphics"


def reference_pages() -> dict[str, str]:
    """Name and Markdown of one page for the modules at the top, and of one for each package."""
    names = sorted(file.stem for file in (ROOT / PACKAGE).glob("[a-z]*.py"))
    packages = sorted(file.parent.name for file in (ROOT / PACKAGE).glob("*/__init__.py"))
    pages = {PACKAGE: f"# {PACKAGE}\n\n" + "".join(f"::: {PACKAGE}.{name}\n\n" for name in names)}
    whole_page = "    options:\n      heading_level: 1\n"
    return pages | {name: f"::: {PACKAGE}.{name}\n{whole_page}" for name in packages}


def on_config(config: MkDocsConfig) -> None:
    """Put the reference pages below *Reference*, *Python*."""
    (reference,) = (section["Reference"] for section in config.nav or [] if "Reference" in section)
    reference.append({"Python": [{name: f"reference/{name}.md"} for name in reference_pages()]})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie above docs/, and those of the reference."""
    for name in TOP_PAGES:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        text = re.sub(r"\[([^\]]+)\]\(LICENSE\)", r"\1", text)  # a file that the site does not have
        files.append(File.generated(config, name, content=text))
    for name, text in reference_pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links from docs/ to pages above it lead to the same pages in the site."""
    up = posixpath.relpath(".", posixpath.dirname(page.file.src_uri) or ".")
    for name in TOP_PAGES:
        link = re.escape(posixpath.join("..", "" if up == "." else up, name))
        markdown = re.sub(rf"\]\({link}(?=[)#])", f"]({posixpath.join(up, name)}", markdown)
    return markdown
