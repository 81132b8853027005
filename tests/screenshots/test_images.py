"""The pictures in the README."""

import re
from pathlib import Path

from tests.screenshots.__main__ import IMAGES, LARGEST

README = Path(__file__).parents[2] / "README.md"


def test_each_picture_of_the_readme_exists_light_and_dark_within_the_size_limit() -> None:
    shown = re.findall(r'src(?:set)?="(tests/screenshots/[^"]+)"', README.read_text())
    files = {README.parent / path for path in shown}
    assert files == set(IMAGES.iterdir())
    assert {path.name.replace("-dark", "-light") for path in files} == {
        path.name for path in files if "-light" in path.name
    }
    assert all(path.stat().st_size <= LARGEST for path in files)
