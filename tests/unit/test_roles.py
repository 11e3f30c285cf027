"""The rights of client and worker are those that their scripts use: read from the text of the scripts."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from pullet_broker.keys import LANE_KEYS, pattern
from pullet_broker.roles import ROLES, rules
from pullet_broker.scripting import FOR_OTHERS, NAMES, assemble

ADMIN = {"replay", "purge", "empty", "survey", "submit", "cancel", "find", "watch", "late"}
CALL = re.compile(r"redis\.p?call\('(\w+)', *(?:'(\w+)', *)?([^,()\s]+(?:\.\.)?[\w.\[\]]*)")
KNOWN = {"arg.reply": "reply:x", "arg.inbox": "inbox:x", "arg.blob": "blob:x", "arg.boxes": "inbox:x"}
KNOWN |= {"part_key": "part:x", "home_key": "home:x", "inbox": "inbox:x", "key.inbox": "inbox:x", "key.part": "part:x"}
KNOWN |= {"draft_of": "draft:blob:x", "draft": "draft:reply:x"}
KNOWN |= {"key.client": "client:x", "lane": "jobs", "key.lane": "jobs", "home": "jobs", "at_key": "jobs:at:x"}
HIDDEN = ("xrange", "jobs")
"""What a client is refused, and the script goes on."""
OF_A_PLACE = ("del", "xsetid")
"""Done to the lane of a place and to no other."""


def uses(name: str) -> set[tuple[str, str]]:
    """Command and key of each call whose key can be told from the text."""
    found = set()
    for command, sub, key in CALL.findall(assemble(name)):
        full = f"{command}|{sub}".lower() if command in ("XGROUP", "XINFO") else command.lower()
        root = re.split(r"[(\[]|\.\.", key)[0]
        if root == "lane" and full in OF_A_PLACE:
            found.add((full, "jobs:at:x"))
        elif root in KNOWN:
            found.add((full, KNOWN[root]))
        elif root.startswith("key."):
            found.add((full, root.removeprefix("key.")))
    return found


def allows(line: str, command: str, key: str) -> bool:
    for part in re.findall(r"\(([^)]*)\)", line):
        words = part.split()
        keys = [word[1:] for word in words if word.startswith("~")]
        if f"+{command}" in words and any(fnmatchcase(f"pullet:{{q}}:{key}", one) for one in keys):
            return True
    return False


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ADMIN] + ["survey"])
def test_a_worker_may_do_what_its_scripts_do(name: str) -> None:
    line = rules("worker", None, kind="redis", version=(7, 0, 0))
    assert len(uses(name)) > 0
    assert {use for use in uses(name) if not allows(line, *use)} == set()


@pytest.mark.parametrize("name", ["submit", "find", "watch"])
def test_a_client_may_do_what_its_scripts_do(name: str) -> None:
    line = rules("client", None, kind="redis", version=(7, 0, 0))
    assert {use for use in uses(name) if not allows(line, *use)} <= {HIDDEN}


def test_a_greeting_is_named_only_where_it_is_known() -> None:
    assert "client|setinfo" not in rules("client", None, kind="redis", version=(7, 0, 15))
    assert "+client|setinfo" in rules("client", None, kind="redis", version=(7, 2, 0))
    assert "+client|setinfo" in rules("client", None, kind="valkey", version=(7, 2, 4))


def test_without_a_password_an_account_is_off() -> None:
    for role in ROLES:
        assert rules(role, None, kind="redis", version=(7, 0, 0)).startswith(f"user {role} reset off ")
        assert rules(role, "ab", kind="redis", version=(7, 0, 0)).startswith(f"user {role} reset on #ab ")


def test_accounts_of_one_queue_name_no_other() -> None:
    for role in ROLES:
        line = rules(role, None, kind="redis", version=(7, 0, 0), user=f"{role}-shop", queue="shop")
        assert all(re.match(r"\(?(%W)?~pullet:\{shop\}:", word) for word in line.split() if "~" in word)


def test_all_lanes_are_covered() -> None:
    globs = [pattern("jobs", "q"), pattern("jobs:*", "q")]
    assert all(any(fnmatchcase(f"pullet:{{q}}:{lane}", one) for one in globs) for lane in LANE_KEYS)
    assert set(FOR_OTHERS) <= set(NAMES)
