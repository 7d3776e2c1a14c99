import json
import sys

import pytest

from autotune import selection
from autotune.errors import ConfigurationError, FolderError, SpaceError
from autotune.scheduling.adaptive import AdaptiveASHA
from autotune.scheduling.asha import ASHA, Variant
from autotune.scheduling.extrapolating import Extrapolating
from autotune.scheduling.full import FullTraining
from autotune.scheduling.hyperband import Hyperband
from autotune.searching.cmaes import CMAES
from autotune.searching.fair import FairStart
from autotune.searching.gp import GP
from autotune.searching.grid import GridSearch
from autotune.searching.prior import Belief, Prior
from autotune.searching.random import RandomSearch
from autotune.searching.sobol import Sobol
from autotune.searching.starting import StartingPoints
from autotune.searching.tpe import TPE
from autotune.study.plan import Budget, Confirm, Plan
from autotune.study.yaml_form import Launch, load_study, read_study, resume

YAML = """\
task: yaml_task:work
task_arguments: {peak: 0.3}
space:
  lr: {float: [1e-4, 1.0], log: true}
  policy: {choice: [full, fresh_random]}
plan:
  budget: {trials: 6}
  scheduler: {asha: {horizon: 3, lowest: 1}}
  searcher: random
  confirm: {leaders: 1, seeds: 2}
prices: {local: 2}
"""
TASK = """\
from autotune.engines.function import FunctionWorkload

def work(peak=0.5):
    return FunctionWorkload(lambda config, fidelity, seed: fidelity - abs(config["lr"] - peak))

def raises():
    raise FileNotFoundError("no data")

def nothing():
    return None

number = 3
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "yaml_task.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    monkeypatch.delitem(__import__("sys").modules, "yaml_task", raising=False)

    def write(text=YAML, **replaced):
        for old, new in replaced.values():
            assert old in text
            text = text.replace(old, new)
        (folder / "study.yaml").write_text(text)
        return folder / "study.yaml"

    return write


def test_what_is_not_said_is_as_in_python(file):
    found = read_study(file(a=("  searcher: random\n", ""), b=("  confirm: {leaders: 1, seeds: 2}\n", "")))
    assert found.plan == Plan(Budget(trials=6), ASHA(horizon=3.0, lowest=1.0))
    assert found.engine == "inprocess"
    assert found.rules is None
    assert found.prices == {"local": 2.0}


@pytest.mark.parametrize(
    ("searcher", "built"),
    [
        ("random", FairStart(RandomSearch())),
        ("tpe", FairStart(TPE())),
        ("{tpe: {startup: 5}}\n  fair_start: 0", TPE(startup=5)),
        ("{grid: {points: 2}}", GridSearch(points=2)),
        ("sobol", FairStart(Sobol())),
        ("{gp: {opening: sobol}}", FairStart(GP(opening="sobol"))),
        ("{cmaes: {population: 8}}", FairStart(CMAES(population=8))),
        (
            "tpe\n  beliefs: {lr: 1e-2, policy: {value: full, spread: 0.3}}",
            FairStart(Prior({"lr": Belief(1e-2), "policy": Belief("full", 0.3)}, TPE())),
        ),
        (
            "random\n  starting_points: [{lr: 1e-3, policy: full}]",
            StartingPoints(FairStart(RandomSearch()), ({"lr": 1e-3, "policy": "full"},)),
        ),
    ],
)
def test_searchers(file, searcher, built):
    assert read_study(file(a=("searcher: random", f"searcher: {searcher}"))).plan.searcher == built


@pytest.mark.parametrize(
    ("scheduler", "built"),
    [
        ("{full: {horizon: 2, reports: 4}}", FullTraining(2.0, 4)),
        ("{hyperband: {horizon: 9, lowest: 1}}", Hyperband(9.0, 1.0)),
        ("{adaptive_asha: {horizon: 9, share: 0.1}}", AdaptiveASHA(9.0, share=0.1)),
        ("{asha: {horizon: 9, variant: stopping}}", ASHA(9.0, variant=Variant.STOPPING)),
        ("{asha: {horizon: 9}}\n  extrapolate: true", Extrapolating(ASHA(9.0))),
        ("{asha: {horizon: 9}}\n  extrapolate: false", ASHA(9.0)),
    ],
)
def test_schedulers(file, scheduler, built):
    assert read_study(file(a=("{asha: {horizon: 3, lowest: 1}}", scheduler))).plan.scheduler == built


def test_budget_confirm_rules_and_seed(file):
    text = YAML.replace("{trials: 6}", "{epochs: 1e2, hours: null}").replace("plan:", "plan:\n  seed: 7")
    found = read_study(
        file(text + "rules: {compare: ema, device: cpu, gradient_layers: [body, head]}\nengine: ray\n")
    )
    assert found.plan.budget == Budget(epochs=100.0)
    assert found.plan.confirm == Confirm(leaders=1, seeds=2)
    assert found.plan.seed == 7
    assert found.rules.horizon == 3.0
    assert found.rules.gradient_layers == ("body", "head")
    assert found.engine == "ray"


def test_several_processes_per_trial(file):
    several = {"processes": 2, "each": {"GPU": 1}, "spread": "nodes"}
    text = YAML + "engine: {ray: {resources_per_trial: {processes: 2, each: {GPU: 1}, spread: nodes}}}\n"
    assert read_study(file(text)).options == {"resources_per_trial": several}
    with pytest.raises(ConfigurationError, match="unknown spread 'node'; did you mean 'nodes'"):
        load_study(file(text.replace("nodes", "node")), "out")


def test_lanes(file):
    found = read_study(file(YAML + "engine: {inprocess: {lanes: 32}}\n"))
    assert (found.engine, found.options) == ("inprocess", {"lanes": 32})
    found = read_study(file(YAML + "engine: {ray: {workers: 2, lanes: auto}}\n"))
    assert (found.engine, found.options) == ("ray", {"workers": 2, "lanes": "auto"})
    with pytest.raises(ConfigurationError, match=r"lanes must be .* at least 1, or 'auto', got 0"):
        load_study(file(YAML + "engine: {inprocess: {lanes: 0}}\n"), "out")


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("prices:", "rules: {horizon: 9}\nprices:", 11, "horizon is the scheduler's; remove it"),
        ("prices:", "pices:", 11, "did you mean 'prices'"),
        ("trials: 6", "trails: 6", 7, "did you mean 'trials'"),
        ("trials: 6", "trials: many", 7, "whole number, got 'many'"),
        ("trials: 6", "trials: 0", 7, "budget.trials must be"),
        ("lowest: 1", "lowest: 9", 8, "lowest must be in"),
        ("trials: 6}", "trials: 6}\n  beliefs: {rate: 0.1}", 8, "beliefs: .*parameter 'rate'"),
        ("trials: 6}", "trials: 6}\n  beliefs: {lr: {value: 0.1, spread: 2}}", 8, "spread must be in"),
        ("horizon: 3, ", "", 8, "horizon is missing"),
        ("asha:", "asa:", 8, "did you mean 'asha'"),
        ("{asha: {horizon: 3, lowest: 1}}", "asha", 8, "needs its parameters"),
        ("searcher: random", "searcher: grid\n  fair_start: 2", 10, "leave a grid alone, which tries every"),
        ("searcher: random", "fair_start: -1", 9, "rounds must be at least 1, got -1"),
        ("searcher: random", "searcher: randm", 9, "did you mean 'random'"),
        ("seeds: 2", "seeds: 1", 10, "confirm.seeds must be"),
        ("local: 2", "local: -2", 11, "price per hour"),
        ("local: 2", "local: .nan", 11, "finite and at least 0, got nan"),
        ("local: 2", "local: cheap", 11, "got 'cheap'"),
        ("task: yaml_task:work", "task: yaml_task", 1, "package.module:function"),
        ("plan:", "plan: [", 8, "not valid YAML"),
    ],
)
def test_errors_name_the_line_and_the_nearest_key(file, old, new, line, text):
    source = file(a=(old, new))
    with pytest.raises(ConfigurationError, match=text) as raised:
        load_study(source, "out")
    assert str(raised.value).startswith(f"{source}:{line}:")


def test_errors_in_the_space_count_the_lines_of_the_whole_file(file):
    source = file(a=("1e-4, 1.0", "0, 1.0"))
    with pytest.raises(SpaceError, match=rf"{source}:4:"):
        read_study(source)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("yaml_tsk:work", "looked in"),
        ("yaml_task:wrk", "did you mean 'work'"),
        ("yaml_task:number", "is no function but int"),
        ("yaml_task:raises", ":2:24: task_arguments.peak: unknown argument 'peak'; known: none"),
    ],
)
def test_tasks_that_cannot_be_made_are_configuration_errors(file, task, text):
    with pytest.raises(ConfigurationError, match=text):
        load_study(file(a=("yaml_task:work", task)), "out")


@pytest.mark.parametrize(
    ("task", "text"), [("raises", "FileNotFoundError: no data"), ("nothing", "must return a Task")]
)
def test_task_functions_that_fail_are_configuration_errors(file, task, text):
    source = file(a=("task: yaml_task:work\ntask_arguments: {peak: 0.3}\n", f"task: yaml_task:{task}\n"))
    with pytest.raises(ConfigurationError, match=text):
        load_study(source, "out")


@pytest.mark.parametrize("text", ["", "[]", "3", "task: a:b\n"])
def test_files_that_are_no_study(file, text):
    with pytest.raises(ConfigurationError):
        read_study(file(text))


def test_a_study_runs_and_resumes_from_its_folder_alone(file, tmp_path, monkeypatch):
    source = file()
    first = load_study(source, tmp_path / "out").run()
    assert first.done
    assert (tmp_path / "out" / "study.yaml").read_text() == YAML
    assert first.bill().machines.keys() == {"local"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = resume(tmp_path / "out").run()
    assert again.bill() == first.bill()
    assert json.dumps(again.verdict, default=str) == json.dumps(first.verdict, default=str)


def test_a_study_of_a_cluster_goes_on_without_one():
    earlier = {"engine": "ray", "address": "auto", "lanes": 2, "trial": {"CPU": 4.0}, "prices": {"a": 1.0}}
    assert Launch().over(earlier) == Launch(**earlier)
    assert Launch(engine="inprocess").over(earlier) == Launch("inprocess", None, 2, None, {"a": 1.0})
    assert Launch(address="local").over(earlier) == Launch(**earlier | {"address": "local"})


def test_lanes_that_a_command_names_replace_the_file_s_and_are_remembered(file, tmp_path):
    source = file(YAML + "engine: {inprocess: {lanes: 3, watchdog_s: 9}}\n")
    given = load_study(source, tmp_path / "out", Launch(lanes=2))
    assert (given._engine.lanes, given._engine.watchdog_s) == (2, 9)
    given.run()
    assert resume(tmp_path / "out")._engine.lanes == 2
    assert resume(tmp_path / "out", Launch(lanes=4))._engine.lanes == 4


def test_what_a_cluster_gives_a_trial_and_costs_holds_where_the_file_does_not_say(file, tmp_path):
    launch = Launch(engine="ray", trial={"CPU": 2.0}, prices={"spot": 0.5, "local": 3.0})
    unpriced = ("prices: {local: 2}\n", "")
    given = load_study(file(a=unpriced), tmp_path / "out", launch)
    assert given._engine._footprint.each == {"CPU": 2.0}
    assert given._prices == {"spot": 0.5, "local": 3.0}
    said = file(YAML + "engine: {ray: {resources_per_trial: {CPU: 3}}}\n")
    assert load_study(said, tmp_path / "other", launch)._engine._footprint.each == {"CPU": 3}
    assert load_study(said, tmp_path / "other", launch)._prices == {"local": 2}
    with pytest.raises(ConfigurationError, match="--trial needs the Ray engine, but the engine is inprocess"):
        load_study(file(), tmp_path / "third", Launch(trial={"CPU": 2.0}))


def test_prices_that_a_command_names_when_it_continues_a_study_count(file, tmp_path):
    load_study(file(a=("prices: {local: 2}\n", "")), tmp_path / "out").run()
    assert resume(tmp_path / "out").run().bill() is None
    assert resume(tmp_path / "out", Launch(prices={"local": 2.0})).run().bill().total > 0


def test_a_file_run_again_with_other_prices_is_the_same_study(file, tmp_path):
    first = load_study(file(), tmp_path / "out").run()
    again = load_study(file(a=("local: 2", "local: 6")), tmp_path / "out").run()
    assert again.verdict == first.verdict
    assert again.bill().total == pytest.approx(3 * first.bill().total)
    assert resume(tmp_path / "out").run().bill() == again.bill()  # its copy has the old ones
    assert load_study(file(a=("prices: {local: 2}\n", "")), tmp_path / "out").run().bill() == again.bill()


PLUGIN = """\
from dataclasses import dataclass
from typing import ClassVar
from autotune.selection import Selector, Subset, register

@register("first_ones")
@dataclass(frozen=True)
class FirstOnes(Selector):
    needs: ClassVar = frozenset()
    def select(self, signals, budget, generator):
        return Subset.uniform(signals.ids.sort().values[:budget])
    def cost(self, n, budget, width):
        return float(n)
"""


def test_a_selector_of_ones_own_is_imported_before_the_space_is_read(file, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "_REGISTRY", dict(selection._REGISTRY))
    source = file(a=("[full, fresh_random]", "[full, first_ones]"))
    with pytest.raises(SpaceError, match=r"unknown selector 'first_ones'.*import the module"):
        read_study(source)
    (source.parent / "yaml_plugin.py").write_text(PLUGIN)
    source = file(YAML.replace("[full, fresh_random]", "[full, first_ones]") + "plugins: [yaml_plugin]\n")
    assert read_study(source).space.options("policy") == ("full", "first_ones")
    assert load_study(source, tmp_path / "out").run().done
    selection._REGISTRY.pop("first_ones")
    monkeypatch.delitem(sys.modules, "yaml_plugin")
    monkeypatch.chdir("/")
    assert resume(tmp_path / "out").run().done


def test_a_plug_in_that_is_not_there_is_told_with_its_line(file):
    with pytest.raises(ConfigurationError, match=r"study.yaml:\d+:\d+: plugins.0.: No module named"):
        read_study(file(YAML + "plugins: [yaml_plugn]\n"))


def test_resuming_what_was_never_run_says_what_to_do(tmp_path):
    with pytest.raises(FolderError, match="holds no study"):
        resume(tmp_path)
    (tmp_path / "log").mkdir()
    with pytest.raises(FolderError, match="holds no study"):
        resume(tmp_path)
    (tmp_path / "log" / "000001-000000.jsonl").write_text("")
    with pytest.raises(FolderError, match="run its script again"):
        resume(tmp_path)


def test_the_copy_is_what_the_log_began_with(file, tmp_path):
    load_study(file(), "out")
    load_study(file(YAML + "# mended before it ever ran\n"), "out").run()
    begun = (tmp_path / "out" / "study.yaml").read_text()
    assert "mended" in begun
    load_study(file(), "out")
    assert (tmp_path / "out" / "study.yaml").read_text() == begun
