"""The pytest plugin: the fixture `pullet_pool`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pullet.testing.inline import InlinePool


@pytest.fixture
def pullet_pool() -> Iterator[Callable[..., InlinePool[Any]]]:
    """Makes pools that run their jobs in the test itself: `pool = pullet_pool(Chess)`. Closed after the test."""
    from pullet.testing.inline import InlinePool  # not before a test asks for it

    with ExitStack() as opened:
        yield lambda *given, **how: opened.enter_context(InlinePool(*given, **how))
