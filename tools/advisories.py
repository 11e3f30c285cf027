"""pip-audit, also behind a mirror that has PyPI's page of a project but none of its single releases.

The page of a project tells the weaknesses of its newest release. It is taken for the page that is missing only where
that is the release which is asked for; any other one stays unknown, which `--strict` takes for a failure.
"""

from __future__ import annotations

import re
from typing import Any

import requests
from pip_audit._cli import audit

RELEASE = re.compile(r"(https://pypi\.org/pypi/[^/]+)/([^/]+)/json")

_get = requests.Session.get


def get(session: requests.Session, url: str, **more: Any) -> requests.Response:
    answer = _get(session, url, **more)
    asked = RELEASE.fullmatch(url)
    if answer.status_code != requests.codes.not_found or asked is None:
        return answer
    project = _get(session, f"{asked[1]}/json", **more)
    return project if project.ok and project.json()["info"]["version"] == asked[2] else answer


requests.Session.get = get  # type: ignore[method-assign,assignment]
audit()
