"""Every registered selector has a contract class and a method card."""

import ast
import dataclasses
import re
import sys
from pathlib import Path

import pytest

from autotune.selection import selector_class, selector_names

HERE = Path(__file__).parent
CARDS = HERE.parents[1] / "docs" / "selectors"
BUILT_IN = [name for name in selector_names() if selector_class(name).__module__.startswith("autotune.")]


def contracted():
    """The classes that some `SelectorContract` in this folder returns from its `selector` fixture."""
    for file in HERE.glob("test_*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and "SelectorContract" in {ast.unparse(b) for b in node.bases}:
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name == "selector" and method.returns:
                        yield ast.unparse(method.returns)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_contract_class_exists(name):
    assert selector_class(name).__name__ in set(contracted())


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_card_says_what_it_is_when_it_fails_and_what_it_costs(name):
    text = (CARDS / f"{name}.md").read_text()
    for heading in ("What", "When it fails", "Cost", "Default ranges", "Measured here", "Citation"):
        assert re.search(rf"^## {heading}$", text, re.MULTILINE), heading
    parameters = re.findall(r"^\| `policy\.(\w+)` \|", text, re.MULTILINE)
    fields = {field.name for field in dataclasses.fields(selector_class(name))}
    assert fields <= set(parameters)


def test_the_names_of_this_release_are_all_there():
    assert set(BUILT_IN) >= {
        "full", "random", "fresh_random", "infobatch", "el2n", "small_loss", "k_center", "target_alignment",
        "stratified", "top_loss", "selective_backprop", "rho_loss", "grand", "forgetting", "aum", "entropy",
        "margin", "least_confidence", "dual", "tdds", "self_paced", "temperature_mixture", "doremi",
    }  # fmt: skip


def test_no_file_shadows_the_standard_library():
    root = Path(sys.modules["autotune.selection"].__file__).parent / "selectors"
    assert not (root / "__init__.py").exists()
    assert not [p.stem for p in root.rglob("*.py") if p.stem in sys.stdlib_module_names]
