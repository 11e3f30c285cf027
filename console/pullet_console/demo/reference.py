"""What the answers are held against: the engine called directly, in this process, without any pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pullet_console.demo.engine import Digits, load

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Reference:
    """One item an image."""

    images: NDArray[Any]
    labels: Sequence[int]
    """The digits that they show."""
    direct: Sequence[int]
    """The digits that the engine reads."""


def read_directly(jobs: int) -> Reference:
    """The first `jobs` images, read by an engine of this process."""
    images, labels = load()
    engine = Digits()
    direct = [engine.read(image)["digit"] for image in images[:jobs]]
    return Reference(images[:jobs], [int(label) for label in labels[:jobs]], direct)
