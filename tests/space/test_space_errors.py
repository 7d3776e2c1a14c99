"""What cannot be searched is refused before anything is spent, and from YAML with its line."""

import math

import optuna
import pytest

from autotune.errors import PolicyError, SpaceError, StorageError
from autotune.space import Choice, Float, Int, SearchSpace, tree


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Float(1, 0.1), "empty range: low=1.0, high=0.1; swap them"),
        (lambda: Float(0, 1, log=True), "low must be above 0 where log is set, got low=0.0"),
        (lambda: Float(-1, 1, log=True), "above 0"),
        (lambda: Float(0, math.inf), "high must be finite, got inf"),
        (lambda: Float(math.nan, 1), "low must be finite"),
        (lambda: Float("1", 2), "low must be a number, got '1'"),
        (lambda: Float(0, 1, log="yes"), "log must be true or false"),
        (lambda: Int(1, 2.5), "high must be a whole number, got 2.5; use Float"),
        (lambda: Int(0, 2**60), "at most 2\\*\\*53"),
        (lambda: Int(True, 3), "low must be a number, got True"),
        (lambda: Int(0, 3, log=True), "above 0"),
        (lambda: Choice([]), "at least one value, got none"),
        (lambda: Choice({}), "at least one value, got none"),
        (lambda: Choice("sgd"), "list of values"),
        (lambda: Choice({"b", "a"}), "list of values"),
        (lambda: Float(0, 10**400), "high must be finite, got inf"),
        (lambda: Choice([1, 2, 1]), "distinct, got 1 twice"),
        (lambda: Choice([1, True]), "distinct"),
        (lambda: Choice([None]), "got None of type NoneType"),
        (lambda: Choice([math.nan]), "finite"),
        (lambda: Choice({"a[0]": {}}), "without brackets"),
        (lambda: Choice({1: {"x": 2}}), "must be a name"),
        (lambda: Choice({"sgd": {"l.r": 1}}), "no dots"),
        (lambda: Choice({"sgd": [1]}), "mapping of names to dimensions"),
        (lambda: SearchSpace({}), "at least one parameter"),
        (lambda: SearchSpace({"optimizer.lr": 1}), "got 'optimizer.lr'; write a conditional parameter under"),
        (lambda: SearchSpace({"a[b]": 1}), "brackets"),
        (lambda: SearchSpace({"": 1}), "not empty"),
        (
            lambda: SearchSpace({"lr": [0.1, 0.2]}),
            "parameter 'lr': value must be a bool, a number or a string",
        ),
    ],
)
def test_python(make, text):
    with pytest.raises(SpaceError, match=text):
        make()


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Float(0, 1), "must be a choice of selectors"),
        ("el2m", "unknown selector 'el2m'; did you mean 'el2n'"),
        (Choice(["full", "rnadom"]), "did you mean 'random'"),
        (Choice({"el2n": {"fracton": 0.1}}), "'fracton'; did you mean 'fraction'"),
        (Choice({"full": {"skip": 0.1}}), "unknown parameter of policy 'full'"),
        (Choice({"el2n": {"fraction": 0}}), r"fraction=0: policy 'el2n': fraction must be in .*, got 0; it"),
        (Choice({"el2n": {"fraction": Float(0.1, 1.5)}}), r"fraction must be in \(0, 1\], got 1.5"),
        (Choice({"el2n": {"fraction": Float(0, 0.5)}}), r"fraction must be in \(0, 1\], got 0.0"),
        (Choice({"el2n": {"fraction": "much"}}), "fraction='much'"),
        (Choice({"el2n": {"skip": Float(0, 1)}}), r"skip must be in \[0, 1\)"),
        (Choice({"el2n": {"warmup": Float(0, 0.6), "anneal": Float(0, 0.6)}}), "warmup \\+ anneal"),
        (Choice({"el2n": {"weighting": "even"}}), "unknown policy weighting 'even'"),
    ],
)
def test_policy(policy, text):
    with pytest.raises(SpaceError, match=text):
        SearchSpace({"policy": policy})


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("lr: {flaot: [1e-4, 1.0]}", "1:6", "did you mean 'float'"),
        ("a: 1\nlr: {float: [0, 1.0], log: true}", "2:13", "'lr': low must be above 0"),
        ("a:\n  choice:\n    x:\n      c: {int: [2, 1]}", "4:16", "'c': low must be at most high"),
        ("a: {int: [1, 2.5]}", "1:10", "whole number"),
        ("a: {int: [1, b]}", "1:10", "must be a number, got 'b'"),
        ("a: {float: [1]}", "1:12", r"range \[low, high\]"),
        ("a: {float: [1, 2], int: [1, 2]}", "1:4", "exactly one of float, int, choice; got float, int"),
        ("a: {log: true}", "1:4", "exactly one of float, int, choice; got none"),
        ("a: {float: [1, 2], log: maybe}", "1:25", "log must be true or false, got 'maybe'"),
        ("a: {choice: [1, 2], log: true}", "1:21", "a choice has no log"),
        ("a: {choice: []}", "1:13", "'a': options must name at least one value"),
        ("a: {choice: [1, 1]}", "1:13", "distinct"),
        ("a: {choice: [[1], 2]}", "1:14", "expected a single value"),
        ("a: {choice: 3}", "1:13", "must be a list of values, or options with parameters"),
        ("a: {choice: {1: {}}}", "1:14", "must be a string, got 1; quote it"),
        ("a: {choice: {'x[0]': {b: 1}}}", "1:13", "without brackets"),
        ("a: [1, 2]", "1:4", "write `a: {choice: "),
        ("a: .inf", "1:4", "finite"),
        ("a: null", "1:4", "got None"),
        ("a: 2020-01-01", "1:4", "got datetime"),
        ("a: 2020-13-01", "1:4", "cannot read '2020-13-01': month must be"),
        ("a: !!python/name:os.system x", "1:4", "cannot read"),
        ("a: 1\nb: 2\na: 3", "3:1", "'a' is given twice"),
        ("a: 1\nb.c: 2", "2:1", "no dots"),
        ("b: &x {choice: [1, 2]}\nc: {<<: *x}", "2:5", "merge keys"),
        ("a: &x {choice: {o: {b: *x}}}", "1:21", "deeper than"),
        ("- 1", "1:1", "expected a mapping"),
        ("3", "1:1", "expected a mapping"),
        ("", "1:1", "at least one parameter"),
        ("{}", "1:1", "at least one parameter"),
        ("a: {int: [1, 2]", "1:16", "not valid YAML"),
        ("a: *b", "1:4", "not valid YAML"),
        ("policy: {choice: [full, el2m]}", "1:25", "did you mean 'el2n'"),
        ("a: 1\npolicy:\n  choice:\n    el2n:\n      fractoin: 0.1", "5:7", "did you mean 'fraction'"),
        ("policy:\n  choice:\n    full:\n    el2n:\n      fraction: {float: [0.1, 2]}", "5:7", "got 2.0"),
    ],
)
def test_yaml_points_at_the_line(text, place, message):
    with pytest.raises(SpaceError, match=message) as caught:
        SearchSpace.from_yaml(text, source="study.yaml")
    assert str(caught.value).startswith(f"study.yaml:{place}: ")


def test_yaml_of_a_section_keeps_the_lines_of_the_file():
    text = "budget: 3\nspace:\n  lr: {float: [1e-4, 1.0], log: true}\n"
    assert SearchSpace.from_yaml(text, section="space") == SearchSpace({"lr": Float(1e-4, 1, log=True)})
    with pytest.raises(SpaceError, match=r"s\.yaml:3:15: 'lr'"):
        SearchSpace.from_yaml(text.replace("1e-4", "2"), "s.yaml", section="space")
    with pytest.raises(SpaceError, match="unknown section 'spaec'; did you mean 'space'"):
        SearchSpace.from_yaml(text, section="spaec")


def test_every_parameter_from_yaml_knows_its_line_by_its_key():
    text = (
        "a: 1\nb:\n  choice:\n    v1.5:\n      c:\n        choice:\n          x: {d: 2}\n          y:\n  \n"
    )
    space = SearchSpace.from_yaml(text, "s.yaml")
    lines = {"a": 1, "b": 2, "b[v1.5].c": 5, "b[v1.5].c[x].d": 7}
    assert {key for _, key, _ in space.places()} == set(lines)
    for key, line in lines.items():
        with pytest.raises(PolicyError, match=rf"^s\.yaml:{line}:\d+: wrong$"), space.pointing():
            raise PolicyError("wrong", tree.path(key))
    with pytest.raises(SpaceError, match=r"^s\.yaml:1:1: wrong"), space.pointing():
        raise SpaceError("wrong", ("nowhere", "at", "all"))


@pytest.mark.parametrize("error", [SpaceError("not in the space"), StorageError("nor about it")])
def test_an_error_that_is_about_no_parameter_stays_as_it_is(error):
    space = SearchSpace.from_yaml("a: 1")
    with pytest.raises(type(error)) as raised, space.pointing():
        raise error
    assert raised.value is error


def test_a_space_from_python_points_nowhere():
    with pytest.raises(SpaceError, match=r"^wrong$"), SearchSpace({"a": 1}).pointing():
        raise SpaceError("wrong", ("a",))


def test_yaml_reads_numbers_that_yaml_1_1_takes_for_strings():
    space = SearchSpace.from_yaml("a: 1e-4\nb: '1e-4'\nc: {choice: [1e3, 2]}\nd: {float: [1e-4, 1E+2]}")
    assert space == SearchSpace(
        {"a": 1e-4, "b": "1e-4", "c": Choice([1e3, 2]), "d": Float(1e-4, 100.0)},
    )


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({}, "parameter 'optimizer' is missing"),
        ({"optimizer": "sgd"}, "parameter 'optimizer.lr' is missing"),
        ({"optimizer": "sdg"}, "'optimizer': value must be one of 'sgd', 'adamw'; got 'sdg'"),
        ({"optimizer": "sgd", "optimizer.lr": 2}, r"'optimizer.lr': value must be in \[0.1, 1.0\], got 2"),
        ({"optimizer": "sgd", "optimizer.lr": "x"}, "'optimizer.lr': value must be a number"),
        ({"optimizer": "sgd", "optimizer.lr": 1, "optimzer": 1}, "did you mean 'optimizer'"),
        (
            {"optimizer": "sgd", "optimizer.lr": 1, "optimizer.beta": 0.9},
            r"'optimizer.beta' is unreachable here, it exists only as optimizer\[adamw\].beta",
        ),
        ({"optimizer": "sgd", "optimizer.lr": 1, "depth": 4}, "'depth': value must be one of 3"),
    ],
)
def test_configurations(config, text):
    sgd, adamw = {"lr": Float(0.1, 1)}, {"beta": Float(0.8, 1)}
    space = SearchSpace({"optimizer": Choice({"sgd": sgd, "adamw": adamw}), "depth": 3})
    with pytest.raises(SpaceError, match=text):
        space.validate(config)


def test_a_configuration_may_leave_out_what_is_fixed():
    space = SearchSpace({"lr": Float(0, 1), "depth": 3, "optimizer": Choice({"sgd": {"momentum": 0.9}})})
    expected = {"lr": 1.0, "depth": 3, "optimizer": "sgd", "optimizer.momentum": 0.9}
    assert space.validate({"lr": 1}) == expected


@pytest.mark.parametrize(
    ("distributions", "text"),
    [
        ({"x": optuna.distributions.FloatDistribution(0, 1, step=0.1)}, "has no counterpart"),
        ({"x": optuna.distributions.IntDistribution(0, 10, step=2)}, "has no counterpart"),
        ({"o[sgd].lr": optuna.distributions.FloatDistribution(0, 1)}, "hangs under no option"),
    ],
)
def test_distributions_without_counterpart(distributions, text):
    with pytest.raises(SpaceError, match=text):
        SearchSpace.from_optuna(distributions)
