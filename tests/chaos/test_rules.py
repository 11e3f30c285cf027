"""Each rule of docs/promises.md is held by a test: without it that test is red."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.chaos.patch import ROOT, copy_sources, run_copy
from tests.chaos.rules import RULES, Rule

FAILED = 1
"""What pytest returns when tests ran and some failed: not when there are none, or they cannot be read."""

each = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.hole}, {rule.says}")


def test_no_hole_is_left_out() -> None:
    assert {rule.hole for rule in RULES} == {f"H{n}" for n in range(1, 24)}


@each
def test_a_rule_can_be_taken_out_and_its_tests_are_in_the_docs(rule: Rule, tmp_path: Path) -> None:
    copy = tmp_path / rule.patch.file
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / rule.patch.file, copy)
    rule.patch.apply(tmp_path)
    row = next(line for line in (ROOT / "docs/promises.md").read_text().splitlines() if f"| {rule.hole} |" in line)
    for test in rule.tests:
        file, _, name = test.partition("::")
        assert re.search(rf"^(    )?def {name or 'test_'}", (ROOT / "tests" / file).read_text(), re.MULTILINE), test
        assert f"`{file.removesuffix('.py')}" in row


@pytest.mark.slow
@each
def test_its_tests_are_red_without_it(rule: Rule, tmp_path: Path) -> None:
    copy_sources(tmp_path, rule.patch)
    run = run_copy(tmp_path, "pytest", "-q", "-x", "-p", "no:cacheprovider", *(f"tests/{test}" for test in rule.tests))
    assert run.returncode == FAILED, f"{run.stdout}\n{run.stderr}"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_all_of_them_are_green_in_a_copy(tmp_path: Path) -> None:
    copy_sources(tmp_path, None)
    tests = sorted({f"tests/{test}" for rule in RULES for test in rule.tests})
    run = run_copy(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
