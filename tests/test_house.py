"""The house stands: links, names, public surface (ADR-001)."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import autotune

ROOT = Path(__file__).parents[1]
LINKED = ("selectors", "search_spaces", "cluster")
CLUSTER = ("launch engine spread", "fleet", "footprint", "trials parts", "live", "validate", "render", "lint",
           "description spot")  # top first  # fmt: skip


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


def layers():
    """The layers of pyproject.toml, top first; each a set of module prefixes."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    return [{name.strip(" ()") for name in layer.split("|")} for layer in config["layers"]]


def layer_of(module, found):
    return next(
        (i for i, names in enumerate(found) if any(f"{module}.".startswith(f"{n}.") for n in names)), None
    )


def imports(path):
    """Modules that a file imports when it runs, wherever in the file."""
    tree = ast.parse(path.read_text())
    typing_only = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    skipped = {id(inner) for node in typing_only for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("folder", LINKED)
def test_linked_folders_import_downwards_only(folder):
    """What import-linter does for the rest: it cannot look into folders without `__init__.py`."""
    found = layers()
    own = layer_of(f"autotune.{folder}", found)
    seen = 0
    for path in (ROOT / folder).rglob("*.py"):
        for module in imports(path):
            target = layer_of(module, found)
            inside = module.startswith(f"autotune.{folder}")
            assert target is None or inside or target > own, f"{path} imports {module}"
            assert folder == "cluster" or module.split(".")[0] != "ray", f"{path} imports {module}"
            seen += target is not None
    assert seen > 5


def test_arrows_within_the_cluster_point_one_way():
    found = [{f"autotune.cluster.{name}" for name in layer.split()} for layer in CLUSTER]
    for path in (ROOT / "cluster").rglob("*.py"):
        module = ".".join(("autotune", *path.relative_to(ROOT).with_suffix("").parts))
        own = layer_of(module, found)
        assert own is not None, f"{path} is in no layer"
        for target in (name for name in imports(path) if name.startswith("autotune.cluster.")):
            same = target.split(".")[2] == module.split(".")[2]
            assert same or layer_of(target, found) > own, f"{path} imports {target}"


def test_algorithms_do_not_import_each_other():
    for path in (ROOT / "selectors").rglob("*.py"):
        assert not [module for module in imports(path) if module.startswith("autotune.selectors")], path
