"""ardiq, Redis Streams with a core in Rust. Needs Python 3.12."""

from __future__ import annotations

SETTINGS = "concurrency 1 (16, its default, for echo)"
REQUIRES = ["ardiq==1.2.*"]
VERSION_OF = "ardiq"
RECOVERY = "idle_timeout 60 s"
