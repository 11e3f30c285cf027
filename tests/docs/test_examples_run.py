"""Every Python block of README and the guides runs, and prints what the page shows behind it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.examples import PAGES, ROOT, Example, fenced
from tests.support.pages import run_examples, start

pytestmark = [pytest.mark.docs, pytest.mark.timeout(240)]

ON_RAY = {"docs/tour.md"}
"""Pages whose blocks are one program with a pool of real Ray actors."""


def blocks(name: str) -> list[Example]:
    return [one for one in fenced(ROOT / name) if one.language == "python" and not one.title]


WITH_BLOCKS = [name for name in (str(page.relative_to(ROOT)) for page in PAGES) if blocks(name)]


@pytest.mark.parametrize("name", [name for name in WITH_BLOCKS if name not in ON_RAY])
def test_the_blocks_of_a_guide_run(name: str, tmp_path: Path) -> None:
    run_examples(blocks(name), tmp_path, on_stage=True)


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("name", sorted(ON_RAY))
def test_the_blocks_of_a_page_run_on_ray(name: str, tmp_path: Path) -> None:
    run_examples(blocks(name), tmp_path, on_stage=False, timeout=200)


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_the_first_example_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    run_examples(blocks("README.md")[:1], tmp_path, on_stage=False)


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_the_tests_of_the_page_on_testing_pass(tmp_path: Path) -> None:
    for file in fenced(ROOT / "docs" / "testing.md"):
        if file.title:
            (tmp_path / file.title).write_text(file.text)
    (tmp_path / "test_pool.py").write_text(
        "def test_it(pool):\n    assert pool.submit('score', 'two').result(60) == 3\n"
    )
    said = start([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path, 120)
    assert "2 passed" in said
