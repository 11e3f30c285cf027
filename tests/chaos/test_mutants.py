"""The mutants still fit the sources; `make chaos-mutants` runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chaos.checker import FINDINGS
from tests.chaos.mutants import MUTANTS, Mutant
from tests.chaos.patch import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_what_it_is_about(mutant: Mutant, tmp_path: Path) -> None:
    copy = tmp_path / mutant.patch.file
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / mutant.patch.file, copy)
    mutant.patch.apply(tmp_path)
    assert copy.read_text() != (ROOT / mutant.patch.file).read_text()
    assert set(mutant.expected) <= set(FINDINGS)
