"""pullet as pip installs it, for processes that a test starts from the checkout."""

from __future__ import annotations

from pathlib import Path

from pullet.bridge import GROUP


def add_metadata(folder: Path) -> None:
    """With its entry points, whatever this environment was installed from. Put `folder` first on the path."""
    made = folder / "pullet-0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: pullet\nVersion: 0\n")
    (made / "entry_points.txt").write_text(f"[{GROUP}]\nray = pullet_workers.bridge\n")
