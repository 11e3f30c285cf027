"""examples/notebook.ipynb: it runs anew, and what it shows in the repository is what it shows then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.conftest import EXAMPLES, alone

nbformat = pytest.importorskip("nbformat", reason="make examples-test installs what examples need")
from nbclient import NotebookClient  # noqa: E402  which comes with it

NOTEBOOK = EXAMPLES / "notebook.ipynb"
KIB = 64


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def shown(notebook: Any) -> list[tuple[int, str, str]]:
    """Whatever its cells of code show: which cell, in which way, and the text."""
    return [
        (number, kind, "".join(said))
        for number, cell in enumerate(notebook.cells)
        for one in cell.get("outputs", [])
        for kind, said in one.get("data", {one.get("name", "error"): one.get("text", "")}).items()
    ]


def seen(notebook: Any) -> set[tuple[int, str]]:
    """Which cell shows something in which way. What libraries say on stderr when they are imported is their affair."""
    first = min(number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    return {(number, kind) for number, kind, _ in shown(notebook)} - {(first, "stderr")}


def text(notebook: Any, way: str) -> str:
    """All that it shows in one way."""
    return "\n".join(said for _, kind, said in shown(notebook) if kind == way)


def test_it_runs_anew(committed: Any) -> None:
    with alone() as environment:
        anew = NotebookClient(
            nbformat.from_dict(committed), timeout=120, coalesce_streams=True, resources={"metadata": {"path": "/"}}
        ).execute(env=environment)
    assert seen(anew) == seen(committed), [said for said in shown(anew) if said[1] == "stderr"]
    assert text(anew, "stdout") == text(committed, "stdout")
    for word in ("pullet.Pool", "open jobs", "pullet.Future", "attempt", "run time"):
        assert word in text(anew, "text/html")
    assert "24/24" in text(anew, "stderr"), "the progress bar"


def test_what_is_in_the_repository_is_small_and_tells_nothing_of_the_machine(committed: Any) -> None:
    data = NOTEBOOK.read_text()
    assert len(data) < KIB * 1024
    for word in ("/root", "/home", "/work", "Traceback", "site-packages"):
        assert word not in data
    assert "text/html" in data
