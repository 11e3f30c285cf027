"""Build the documentation site into build/site: docs/ as it is, with README.md as its first page.

.venv/bin/python tools/site.py          what `make docs` runs; a broken link or anchor is an error

The pages are plain Markdown that reads well in the repository. The site needs three things more, made here in
build/pages: README, CONTRIBUTING and CHANGELOG as pages, a page for each example, and links that point to these. A link
to any other file of the repository leads to a copy of it, and one to a folder becomes its name.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"
AT_TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples/index.md",
}
LINK = re.compile(r"\[([^][]*)\]\(([^()\s#]+)(#[^()\s]*)?\)")


def site_path(source: PurePosixPath) -> PurePosixPath:
    """Where a file of the repository is on the site."""
    if str(source) in AT_TOP:
        return PurePosixPath(AT_TOP[str(source)])
    if source.parts[0] == "docs":
        return PurePosixPath(*source.parts[1:])
    return source.with_suffix(".md") if is_example(source) else PurePosixPath("files") / source


def is_example(source: PurePosixPath) -> bool:
    return source.parts[0] == "examples" and source.suffix == ".py"


def relinked(text: str, source: PurePosixPath) -> str:
    """The text of a page with its links as they are on the site."""
    here = site_path(source).parent

    def link(match: re.Match[str]) -> str:
        said, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        found = PurePosixPath(os.path.normpath(source.parent / target))
        if (ROOT / found).is_dir():
            return said
        if site_path(found).parts[0] == "files" and (ROOT / found).is_file():
            copy(ROOT / found, PAGES / site_path(found))
        return f"[{said}]({os.path.relpath(site_path(found), here)}{anchor})"

    return LINK.sub(link, text)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def write(source: PurePosixPath, text: str) -> None:
    target = PAGES / site_path(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(relinked(text, source))


def example_page(file: Path) -> str:
    """Its docstring as text, and the program."""
    text = file.read_text()
    said = ast.get_docstring(ast.parse(text)) or ""
    return f"# {file.name}\n\n{said.partition(chr(10))[0]}\n\n```python\n{text}```\n"


def write_pages() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    for name in AT_TOP:
        write(PurePosixPath(name), (ROOT / name).read_text())
    for file in (ROOT / "docs").rglob("*"):
        source = PurePosixPath(file.relative_to(ROOT))
        if file.suffix == ".md":
            write(source, file.read_text())
        elif file.is_file():
            copy(file, PAGES / site_path(source))
    for file in sorted((ROOT / "examples").glob("*.py")):
        write(PurePosixPath(file.relative_to(ROOT)), example_page(file))


def main() -> None:
    write_pages()
    zensical = Path(sys.executable).with_name("zensical")
    if not zensical.exists():
        sys.exit("zensical is missing: it needs Python 3.11 or newer (and pip install 'pullet[docs]')")
    sys.exit(subprocess.run([zensical, "build", "--clean", "--strict"], cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
