"""Folders of image files with links in them: every image once."""

from __future__ import annotations

import os
from pathlib import Path

from rs.foreign.image_sources import folder


def test_loops_of_links_give_every_image_once(place):
    Path("photos/again").symlink_to(Path("photos").resolve())
    Path("sorted/0/up").symlink_to(Path("sorted").resolve())
    assert folder(Path("photos")).names == [f"{i:02}.png" for i in range(12)]
    before = sorted(str(f.relative_to("sorted")) for f in Path("sorted").rglob("*.png"))
    assert folder(Path("sorted")).names == before


def test_a_linked_folder_keeps_its_own_name(place):
    """Images are labelled by where they lie, not by the link that comes first; links to elsewhere count."""
    names = folder(Path("sorted")).names
    Path("sorted/0/other").symlink_to(Path("sorted/7").resolve())
    assert folder(Path("sorted")).names == names
    Path("sorted/elsewhere").symlink_to(Path("photos").resolve())
    found = folder(Path("sorted"))
    assert len(found) == len(names) + 12
    assert found.groups[-1] == "elsewhere"


def test_a_name_that_is_no_utf_8_is_told_and_read(place):
    os.rename(b"photos/00.png", b"photos/\xff.png")
    found = folder(Path("photos"))
    assert found.names[-1] == "\\xff.png"
    assert found.image(11).size == (8, 8)
