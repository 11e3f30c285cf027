"""Where the Redis server is, without ever showing its password."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pullet_broker.errors import ServerRefused

URL, USER, PASSWORD_FILE = "PULLET_REDIS", "PULLET_REDIS_USER", "PULLET_REDIS_PASSWORD_FILE"


@dataclass(frozen=True)
class Address:
    """A Redis URL (`redis://`, `rediss://` or `unix://`), with a user and the *path* of a file that holds the password.

    A password in the URL works too; it is hidden from `repr`, `str` and every error.
    """

    url: str = field(repr=False)
    username: str | None = None
    password_file: str | None = None

    @classmethod
    def of(cls, redis: str | Address) -> Address:
        return redis if isinstance(redis, Address) else cls(redis)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Address | None:
        """The server that `PULLET_REDIS` names, or None."""
        url = environ.get(URL)
        return cls(url, environ.get(USER), environ.get(PASSWORD_FILE)) if url else None

    def __str__(self) -> str:
        scheme, separator, rest = self.url.partition("://")
        place = rest.rpartition("@")[2]  # also where a password holds signs that should have been escaped
        return scheme + separator + re.split("[?#]", place)[0]

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def credentials(self) -> dict[str, Any]:
        """User and password that are not in the URL; the file is read now, in the process that connects."""
        given: dict[str, Any] = {"username": self.username} if self.username else {}
        if self.password_file:
            try:
                given["password"] = Path(self.password_file).read_text().strip()
            except OSError as error:
                raise ServerRefused(
                    f"cannot read the password file {self.password_file}: {error.strerror}; set {PASSWORD_FILE} to a "
                    "readable file"
                ) from None
        return given
