"""What a verb was told, and where: flags, then `PULLET_*`, then `pullet.toml` or `[tool.pullet]` in pyproject.toml."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

NAMES = {
    "redis": "the server's URL",
    "redis_user": "its user",
    "redis_password_file": "the file that holds the password, from the folder of this file",
    "queue": "the queue that is meant when none is named",
    "engine": "the engine of `worker` and `dev`, as MODULE:ENGINE",
    "workers": "how many of them",
}
"""What the file may set."""


def from_file(name: str) -> Callable[[], Any]:
    """The default of an option: what the file says, or None. Read when neither a flag nor the environment says it."""
    return lambda: settings_of(str(Path.cwd())).get(name)


@lru_cache(maxsize=4)
def settings_of(folder: str) -> dict[str, Any]:
    """The settings in the nearest file, in this folder or above. Raises `click.UsageError` for a file that is wrong."""
    for place in (Path(folder), *Path(folder).parents):
        for file, table in ((place / "pullet.toml", ()), (place / "pyproject.toml", ("tool", "pullet"))):
            if file.is_file():
                found = _read(file, table)
                if found is not None:
                    return found
    return {}


def _read(file: Path, table: tuple[str, ...]) -> dict[str, Any] | None:
    """The settings in this file; None where it has none."""
    found: Any = _parse(file)
    for name in table:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return None
    settings: dict[str, Any] = found
    unknown = sorted(set(settings) - set(NAMES))
    if unknown:
        raise click.UsageError(f"{file}: {', '.join(unknown)} is not known; expected {', '.join(NAMES)}")
    if "redis_password_file" in settings:
        settings = settings | {"redis_password_file": str(file.parent / str(settings["redis_password_file"]))}
    return settings


def _parse(file: Path) -> Any:
    import importlib

    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from None


def credential(variable: str, name: str) -> str | None:
    """A part of the login that has no flag: from the environment, or the file."""
    return os.environ.get(variable) or from_file(name)()
