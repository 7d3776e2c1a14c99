"""A cluster's description: presets, rules, places of errors, round trips."""

import doctest
import importlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import SPOT, change, spec_of

from autotune.cluster.description.findings import placed
from autotune.cluster.description.places import AWS, Kubernetes, Local, Slurm
from autotune.cluster.description.presets import PRESETS, preset
from autotune.cluster.description.prices import priced, read_prices
from autotune.cluster.description.secret_scan import find_secrets, looks_secret
from autotune.cluster.description.spec import (
    ClusterSpec,
    Count,
    Group,
    Head,
    Image,
    Machine,
    Market,
    Nodes,
    Storage,
)
from autotune.cluster.description.spec_yaml import parse_spec, to_yaml
from autotune.cluster.description.versions import ours
from autotune.cluster.lint.nodes import cheapest
from autotune.cluster.lint.rules import lint
from autotune.errors import ConfigurationError

RAY, PYTHON = ours()
AWS_KEY = "AKIA" + "IOSFODNN7EXAMPLE"  # AWS's own example


def wrong(spec):
    return [one for one in lint(spec) if not one.waits]


@pytest.mark.parametrize("on", PRESETS)
@pytest.mark.parametrize("spot", [False, True])
def test_presets_validate_and_say_what_is_still_to_be_filled_in(on, spot):
    if spot and on not in SPOT:
        with pytest.raises(ConfigurationError, match="no spot market"):
            preset(on, spot)
        return
    text = preset(on, spot, "mine")
    spec = parse_spec(text).spec
    assert wrong(spec) == []
    assert spec.name == "mine"
    blanks = {one.path for one in lint(spec)}
    assert bool(blanks) == (on != "local")
    assert parse_spec(to_yaml(spec)).spec == spec
    markets = [group.market for group in spec.nodes.groups]
    assert markets == ([Market.SPOT, Market.ON_DEMAND] if spot else [Market.ON_DEMAND])


names = st.text("abcdefghij-", min_size=1, max_size=8)
tricky = ("null", "1e4", "0.5", "yes", "- a", "a: b", "# a", " a ", "'", "2026-01-01", "<a>", "é")  # in YAML
texts = st.sampled_from(tricky) | st.text("aZ0-/:.", min_size=1, max_size=6)
numbers = st.floats(0.5, 1e6) | st.integers(1, 10**6).map(float)
machines = st.builds(
    Machine,
    st.integers(1, 64),
    numbers,
    numbers,
    st.none() | texts,
    labels=st.dictionaries(texts, texts, max_size=2),
)
groups = st.builds(
    Group,
    names,
    machines,
    st.builds(Count, st.integers(0, 3), st.integers(3, 9)),
    st.sampled_from(Market),
    st.integers(0, 9),
    st.none() | numbers,
)
places = st.one_of(
    st.builds(Local),
    st.builds(Kubernetes, entrypoint=st.none() | texts, deadline_s=st.none() | st.integers(1, 99)),
    st.builds(Slurm, texts, texts, numbers, options=st.lists(texts, max_size=2).map(tuple)),
    st.builds(AWS, texts, texts, st.lists(texts, max_size=2).map(tuple), texts, texts, texts),
)


@settings(max_examples=30)
@given(
    st.builds(
        ClusterSpec,
        names,
        places,
        st.builds(Nodes, st.lists(groups, max_size=2).map(tuple), head=st.none() | st.builds(Head, machines)),
        st.builds(Image, texts, texts, st.none() | texts, st.lists(texts, max_size=2).map(tuple)),
        st.builds(Storage, texts, st.none() | texts),
    )
)
def test_any_spec_reads_back_from_its_yaml(spec):
    assert parse_spec(to_yaml(spec)).spec == spec
    assert lint(spec) == lint(spec)


# place, what is changed, the value, the rule, where the finding is: each violates one rule only
VIOLATIONS = [
    ("local", "name", "My Cluster", "name", "name"),
    ("local", "name", "a" * 48, "name", "name"),
    ("kubernetes", "nodes.groups.name", "headgroup", "name", "nodes.groups[0].name"),
    ("local", "nodes.groups.machine.memory_gib", 0.5, "number", "nodes.groups[0].machine.memory_gib"),
    ("local", "nodes.groups.price_per_hour", -1.0, "number", "nodes.groups[0].price_per_hour"),
    ("aws", "nodes.groups.count", Count(3, 2), "number", "nodes.groups[0].count.max"),
    ("aws", "nodes.groups.machine.gpus", 1.5, "whole-gpus", "nodes.groups[0].machine.gpus"),
    ("kubernetes", "nodes.groups.machine.gpus", 1.5, "whole-gpus", "nodes.groups[0].machine.gpus"),
    ("aws", "nodes.groups.machine.cpus", 2, "trial-fits", "nodes.groups[0].machine"),
    ("aws", "nodes.head.market", Market.SPOT, "spot-head", "nodes.head.market"),
    ("slurm", "nodes.groups.market", Market.SPOT, "spot-place", "nodes.groups[0].market"),
    ("kubernetes", "nodes.groups.market", Market.SPOT, "spot-labels", "nodes.groups[0].machine"),
    ("aws", "image.name", None, "image-pinned", "image"),
    ("aws", "image.name", "rayproject/ray:latest-gpu", "image-pinned", "image.name"),
    ("aws", "image.name", "rayproject/ray", "image-pinned", "image.name"),
    ("aws", "image.name", f"rayproject/ray:1.0.0-py{PYTHON.replace('.', '')}", "versions", "image.ray"),
    ("local", "image.python", "3.1", "versions", "image.python"),
    ("kubernetes", "image.setup", ("pip install mine==1",), "image-setup", "image.setup"),
    ("local", "nodes.recovery.drain_s", 120, "grace", "nodes.recovery.drain_s"),
    ("aws", "nodes.recovery.gcs", "rocksdb", "gcs", "nodes.recovery.gcs"),
    ("aws", "storage.path", "/data/studies", "storage", "storage.path"),
    ("aws", "storage.path", "gs://mine/studies", "storage", "storage.path"),
    ("gcp", "storage.path", "s3://mine/studies", "storage", "storage.path"),
    ("azure", "storage.path", "az://mine/studies", "storage", "storage.path"),
    ("kubernetes", "storage.path", "az://mine/studies", "storage", "storage.path"),
    ("kubernetes", "storage.path", "s3://mine/studies?regoin=eu", "storage", "storage.path"),
    ("kubernetes", "storage", Storage("/mnt/studies", shared=True), "storage", "storage.shared"),
    ("local", "storage.path", "studies", "storage", "storage.path"),
    ("azure", "storage.identity", "mine", "identity", "storage.identity"),
    ("local", "storage.path", "ftp://a/b", "storage", "storage.path"),
    ("aws", "authentication.token_file", None, "token", "authentication.token_file"),
    ("aws", "authentication.tls", True, "token", "authentication.tls"),
    ("aws", "storage.identity", AWS_KEY, "secret", "storage.identity"),
    ("aws", "where.region", "frankfurt", "shape", "where.aws.region"),
    ("aws", "where.ami", "ubuntu", "shape", "where.aws.ami"),
    ("aws", "where.subnets", (), "shape", "where.aws.subnets"),
    ("aws", "where.ssh_cidr", "0.0.0.0/0", "ssh-cidr", "where.aws.ssh_cidr"),
    ("gcp", "where.ssh_cidr", "::/0", "ssh-cidr", "where.gcp.ssh_cidr"),
    ("aws", "where.ssh_cidr", "198.51.100.7/24", "ssh-cidr", "where.aws.ssh_cidr"),
    ("gcp", "where.image", "projects/p/global/images/family/x", "shape", "where.gcp.image"),
    ("gcp", "nodes.groups.machine.instance", "n1-standard-4", "instance", "nodes.groups[0].machine.instance"),
    ("azure", "where.image", "a:b:c:latest", "shape", "where.azure.image"),
    ("aws", "nodes.groups.machine.instance", None, "instance", "nodes.groups[0].machine"),
    ("aws", "nodes.head", None, "head", "nodes"),
    ("local", "nodes.head", Head(Machine(1, 1)), "head", "nodes.head"),
    ("local", "nodes.groups.count", Count(1, 2), "one-group", "nodes.groups[0].count"),
    ("slurm", "nodes.groups.count", Count(1, 2), "one-group", "nodes.groups[0].count"),
    ("on_premises", "nodes.groups.count", Count(1, 2), "hosts", "nodes.groups[0].count"),
    ("local", "where.port", 80, "ports", "where.local"),
    ("local", "where.dashboard_port", 6380, "ports", "where.local"),
    ("slurm", "where.hours", 0.01, "number", "where.slurm.hours"),
    ("kubernetes", "where.entrypoint", None, "entrypoint", "where.kubernetes"),
    ("kubernetes", "where.queue", "team", "queue", "nodes.groups[0].count"),
    ("kubernetes", "where.deadline_s", 0, "number", "where.kubernetes.deadline_s"),
]


@pytest.mark.parametrize(("on", "path", "value", "rule", "at"), VIOLATIONS)
def test_every_rule_finds_what_violates_only_it(on, path, value, rule, at):
    spec = spec_of(on)
    found = wrong(change(spec, path, value))
    assert [(one.rule, one.path) for one in found] == [(rule, at)]
    for one in found:
        assert one.remedy
        assert AWS_KEY not in str(one)  # a secret is not repeated


def test_a_finding_names_its_line():
    text = preset("aws").replace("{min: 0, max: 8}", "{min: 9, max: 8}")
    read = parse_spec(text, "c.yaml")
    (one,) = placed(wrong(read.spec), read.place)
    line = next(k for k, line in enumerate(text.splitlines(), 1) if "min: 9" in line)
    assert str(one).startswith(f"c.yaml:{line}:")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    region: eu-central-1\n", "", "where.aws: region is missing"),
        ("memory_gib: 16", "memory: 16", "did you mean 'memory_gib'"),
        ("cpus: 4, memory_gib", "cpus: 4.5, memory_gib", "expected a whole number, got 4.5"),
        ("  aws:\n", "  asw:\n", "did you mean 'aws'"),
        ("      market: spot\n", "      market: sopt\n", "did you mean 'spot'"),
    ],
)
def test_what_cannot_be_read_names_its_line(old, new, said):
    text = preset("aws", spot=True)
    assert old in text
    with pytest.raises(ConfigurationError, match=rf"^c.yaml:\d+:\d+: .*{said}"):
        parse_spec(text.replace(old, new), "c.yaml")


def test_a_half_gpu_is_a_matter_of_the_trial():
    spec = spec_of("aws")
    assert wrong(change(spec, "nodes.trial.gpus", 0.5)) == []
    (one,) = wrong(change(spec, "nodes.groups.machine.gpus", 1.5))
    assert "gpus: 0.5" in one.remedy


def test_prices_are_what_a_study_takes_by_the_names_that_ray_gives():
    spec = change(spec_of("aws"), "nodes.groups.price_per_hour", 1.0)
    assert spec.prices == {"workers": 1.0}
    assert cheapest(spec) is None  # the head has a price, too
    spec = change(spec, "nodes.head.price_per_hour", 0.1)
    assert spec.prices == {"workers": 1.0, "head": 0.1}
    assert cheapest(spec) == pytest.approx(1.1)
    assert change(spec_of("local"), "nodes.groups.price_per_hour", 0.5).prices == {"local": 0.5}
    assert change(spec_of("kubernetes"), "nodes.head.price_per_hour", 0.5).prices == {"headgroup": 0.5}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (AWS_KEY, "x"),
        ("wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY", "x"),
        ("hunter2", "db_password"),
        ("https://me:" + "pw@example.org/a", "url"),
        ("export WANDB_API_KEY=" + "abcdef123456", "command"),
        ("-----BEGIN RSA PRIVATE" + " KEY-----", "x"),
        ("sk-" + "a1B2" * 8, "x"),
    ],
)
def test_secrets_are_found_wherever_they_stand(value, name):
    assert looks_secret(value, name)
    (one,) = find_secrets({"env_vars": {name: value}}, "runtime_env")
    assert one.path == f"runtime_env.env_vars.{name}"
    assert value not in str(one)


@pytest.mark.parametrize(
    "value",
    [
        "rayproject/ray@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "arn:aws:iam::123456789012:instance-profile/autotune-aws-worker",
        "export RAY_AUTH_TOKEN=$(cat ~/.ray/auth_token)",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=110",
        "8f14e45f-ceea-467f-a9c1-0123456789ab",
    ],
)
def test_references_digests_and_names_are_no_secrets(value):
    assert looks_secret(value, "value") is None


EXAMPLES = (
    "description.findings",
    "description.secret_scan",
    "description.versions",
    "render.common",
    "validate.crd",
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_docstrings_are_right(name):
    found = doctest.testmod(importlib.import_module(f"autotune.cluster.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_the_documented_spec_is_right():
    text = (
        (Path(__file__).parents[2] / "docs" / "cluster.md").read_text().split("```yaml\n")[1].split("```")[0]
    )
    spec = parse_spec(
        text.replace("2.60.0", RAY).replace("3.11", PYTHON).replace("py311", f"py{PYTHON.replace('.', '')}")
    ).spec
    assert lint(spec) == []
    assert spec.prices == {"spot": 0.45, "on-demand": 1.2, "headgroup": 0.1}


def test_a_list_of_prices_fills_in_what_the_spec_leaves_open(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("g5.xlarge: 1.0\ng5.xlarge/spot: 0.4\nhead: 0.1\np5.48xlarge: 98\n")
    spec = change(spec_of("aws", spot=True), "nodes.groups.price_per_hour", 0.3)
    assert priced(spec, read_prices(path)).prices == {"spot": 0.3, "on-demand": 1.0, "head": 0.1}
    assert priced(spec_of("aws", spot=True), read_prices(path)).prices["spot"] == 0.4
    path.write_text("g5.xlarge: 1.0\ng6.xlarge: free\n")
    with pytest.raises(ConfigurationError, match=r"prices\.yaml:2:12: .*expected a number"):
        read_prices(path)
