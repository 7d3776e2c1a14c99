"""What the documentation shows works as it stands."""

import re
from pathlib import Path

import pytest
import yaml

from autotune.selection import selector_names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


def test_the_page_on_tasks_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "tasks"}
    results = []
    for block in blocks("tasks.md", "python"):
        exec(compile(block, "tasks.md", "exec"), names)
        results += [names["result"]] if "result =" in block else []
    assert len(results) == 4
    for result in results:
        assert result.best_config is not None
        assert result.weights() and "trial" in result.summary()


def test_selectors_without_a_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("results.md", "python")[-2], "results.md", "exec"), {})
    assert [path.name for path in tmp_path.iterdir()] == ["subset.parquet"]


def test_python_that_needs_a_cluster_compiles_and_yaml_parses():
    for page in ("results.md", "cluster.md", "search.md", "data.md", "simulation.md"):
        for block in blocks(page, "python"):
            compile(block, page, "exec")
        for block in blocks(page, "yaml"):
            assert yaml.safe_load(block)


def test_every_selector_is_in_the_index_with_a_card():
    index = (DOCS / "selectors" / "README.md").read_text()
    assert set(re.findall(r"^\| \[(\w+)\]\(\1\.md\)", index, flags=re.MULTILINE)) == set(selector_names())


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        if target.startswith("http"):
            continue
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            heads = re.findall(r"^#+ (.*)$", place.read_text(), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, f"{target}#{anchor}"
