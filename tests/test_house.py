"""The house stands: links, names, public surface (ADR-001)."""

import subprocess
import sys
from pathlib import Path

import pytest

import autotune

ROOT = Path(__file__).parents[1]
LINKED = ("selectors", "search_spaces", "cluster")


@pytest.mark.parametrize("name", LINKED)
def test_links_are_directories(name):
    link = ROOT / "autotune" / name
    assert link.is_dir(), (
        f"{link} is not a directory: this checkout has no symbolic links; clone again with "
        "`git clone -c core.symlinks=true` on a file system that has them"
    )
    assert link.resolve() == ROOT / name


@pytest.mark.parametrize("name", LINKED)
def test_linked_folders_shadow_nothing(name):
    assert not (ROOT / name / "__init__.py").exists()
    for path in (ROOT / name).iterdir():
        assert path.stem not in sys.stdlib_module_names, path


def test_selectors_at_the_root_is_the_standard_librarys():
    code = "import selectors; print(selectors.DefaultSelector.__name__, selectors.__file__)"
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert str(ROOT) not in printed.stdout


def test_the_public_surface_is_small_and_documented():
    assert len(autotune.__all__) <= 40
    assert len(set(autotune.__all__)) == len(autotune.__all__)
    for name in autotune.__all__:
        assert getattr(autotune, name).__doc__, name


def test_a_misspelt_name_lists_what_there_is():
    with pytest.raises(AttributeError, match="SearchSpace"):
        _ = autotune.Serchspace
