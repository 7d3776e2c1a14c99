"""What a spec is rendered to, and what is found wrong with it."""

import copy
import os
import subprocess
import sys
import time

import pytest
import yaml
from specs import SPOT, change, spec_of

from autotune.cluster.description.places import Form, Submission
from autotune.cluster.description.presets import PRESETS, preset
from autotune.cluster.description.spec import Gcs, Redis, Storage
from autotune.cluster.description.spec_yaml import parse_spec
from autotune.cluster.render.aws_foundation import aws_foundation
from autotune.cluster.render.files import render
from autotune.cluster.render.kuberay import kuberay, network_policy
from autotune.cluster.render.ray_up import ray_up
from autotune.cluster.validate.crd import FILES, crd
from autotune.cluster.validate.offline import origin, validate
from autotune.cluster.validate.operator_rules import operator_rules
from autotune.cluster.validate.ray_schema import ray_schema
from autotune.cluster.validate.ray_up_rules import ray_up_rules
from autotune.errors import ConfigurationError

RAY_UP = ("aws", "gcp", "azure", "on_premises")


@pytest.mark.parametrize("on", PRESETS)
def test_every_preset_renders_to_what_validates(on):
    for spot in (False, True) if on in SPOT else (False,):
        spec = spec_of(on, spot)
        assert [one for one in validate(spec) if not one.waits] == []
        assert render(spec) == render(spec)
        for name, text in render(spec).items():
            assert "0.0.0.0" not in text, name
            assert "RAY_AUTH_MODE" in text or name.startswith("foundation")


def test_what_cannot_work_is_not_rendered():
    with pytest.raises(ConfigurationError, match=r"nodes\.recovery\.drain_s.*120 s.*110 and 120"):
        render(change(spec_of("local"), "nodes.recovery.drain_s", 120))


@pytest.mark.parametrize("on", RAY_UP)
def test_ray_starts_with_health_checks_a_token_and_a_dashboard_on_loopback(on):
    config = ray_up(spec_of(on))
    text = yaml.safe_dump(config, width=10_000)
    for switch in (
        "RAY_AUTH_MODE=token",
        "RAY_USAGE_STATS_ENABLED=0",
        "RAY_health_check_period_ms=1000",
        "RAY_health_check_timeout_ms=3000",
        "RAY_health_check_failure_threshold=3",
        "RAY_object_manager_pull_timeout_ms=250",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=110",
    ):
        assert switch in text
    assert any("--dashboard-host=127.0.0.1" in one for one in config["head_start_ray_commands"])
    assert config["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}


@pytest.mark.parametrize("on", ["aws", "gcp", "azure"])
def test_spot_is_on_workers_only_and_has_priority(on):
    types = ray_up(spec_of(on, spot=True))["available_node_types"]
    spot = {name for name, kind in types.items() if "spot" in str(kind["node_config"]).lower()}
    assert spot == {"spot"}
    assert types["spot"]["priority"] > types["on-demand"]["priority"]
    assert types["head"]["resources"]["CPU"] == 0


@pytest.mark.parametrize("on", ["aws", "gcp", "azure"])
def test_a_watcher_runs_beside_ray_where_there_are_spot_machines(on):
    assert len(ray_up(spec_of(on))["worker_start_ray_commands"]) == 2
    spec = spec_of(on, spot=True)
    *_, start, watcher = ray_up(spec)["worker_start_ray_commands"]
    assert "ray start" in start
    assert f"python -m autotune.cluster.spot {on} --address=$RAY_HEAD_IP:6379 >" in watcher
    assert watcher.endswith("2>&1 < /dev/null &")  # SSH ends, and it does not
    early = ray_up(change(spec, "nodes.recovery.leave_early", True))
    assert " --early " in early["worker_start_ray_commands"][-1]
    assert not any("autotune.cluster.spot" in one for one in early["head_start_ray_commands"])


def broken(config, *path, value=None):
    """A copy with one value replaced, or removed where it is None."""
    found = copy.deepcopy(config)
    place = found
    for name in path[:-1]:
        place = place[name]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return found


NODE = ("available_node_types", "workers", "node_config")
HEAD = ("available_node_types", "head", "node_config")
RAY_UP_VIOLATIONS = [
    ("aws", (*NODE, "MetadataOptions"), None, "imdsv2"),
    ("aws", (*NODE, "SecurityGroupIds"), None, "security-group"),
    ("aws", (*HEAD, "IamInstanceProfile"), None, "role"),
    ("aws", (*HEAD, "InstanceMarketOptions"), {"MarketType": "spot"}, "spot-head"),
    ("aws", (*NODE, "ImageId"), None, "pinned"),
    ("aws", (*NODE, "InstanceType"), None, "instance"),
    ("aws", ("provider", "region"), None, "region"),
    ("aws", ("provider", "security_group"), {"IpPermissions": [{"CidrIp": "0.0.0.0/0"}]}, "world"),
    ("azure", ("provider", "use_internal_ips"), None, "world"),
    ("gcp", ("docker", "image"), "rayproject/ray:nightly", "pinned"),
    ("gcp", ("setup_commands",), None, "pinned"),
    ("gcp", ("head_start_ray_commands",), ["ray start --head --dashboard-host=0.0.0.0"], "dashboard"),
    ("gcp", ("head_start_ray_commands",), None, "dashboard"),
    ("azure", ("docker", "run_options"), ["--ulimit=nofile=65536"], "token"),
    ("azure", ("file_mounts",), {}, "token"),
    ("azure", ("docker", "run_options", 0), "--env=DB_PASSWORD=" + "hunter2hunter2", "secret"),
]


@pytest.mark.parametrize(("on", "path", "value", "rule"), RAY_UP_VIOLATIONS)
def test_rules_see_what_rays_schema_does_not(on, path, value, rule):
    config = broken(ray_up(spec_of(on)), *path, value=value)
    assert {one.rule for one in ray_up_rules(config)} == {rule}
    assert ray_schema(config) == []


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        (("available_node_types", "workers", "resources", "GPU"), 0.5, "nodes.groups[0]"),
        (("max_workers",), "many", "where"),
        (("docker", "images"), "x", "image"),
        (("head_node_type",), "nobody", "where"),
    ],
)
def test_rays_own_schema_is_asked(path, value, at):
    spec = spec_of("aws")
    (one,) = ray_schema(broken(ray_up(spec), *path, value=value))
    assert one.rule == "ray-schema"
    assert origin(one.path, spec) == at


def manifests():
    """Every form of a manifest that a spec can ask for."""
    job, spot = spec_of("kubernetes"), spec_of("kubernetes", spot=True)
    fixed = change(job, "nodes.groups.count", type(job.nodes.groups[0].count)(4, 4))
    redis = change(job, "nodes.recovery.redis", Redis("redis:6379", "redis-password"))
    cluster = change(change(job, "where.form", Form.CLUSTER), "where.entrypoint", None)
    found = [job, spot, cluster, change(fixed, "where.queue", "team")]
    found += [change(redis, "nodes.recovery.gcs", Gcs.REDIS), change(job, "nodes.recovery.gcs", Gcs.ROCKSDB)]
    found += [change(job, "authentication.tls", True), change(job, "authentication.secret_name", "mine")]
    return found + [change(job, "where.submission", mode) for mode in Submission]


@pytest.mark.data
def test_every_manifest_fits_kuberays_definitions_and_the_operators_rules(data_dir):
    folder = data_dir / "kuberay"
    for spec in manifests():
        assert [one for one in validate(spec, folder) if not one.waits] == []
        manifest = kuberay(spec, spec.where)
        for path, value, said in [
            (("spec", "backoffLimits"), 2, "backoffLimits"),
            (("kind",), "RayCronJob", "RayCronJob"),
        ]:
            assert any(said in str(one) for one in crd(broken(manifest, *path, value=value), folder))
        cluster = manifest["spec"].get("rayClusterSpec", manifest["spec"])
        cluster["workerGroupSpecs"][0]["minReplicas"] = 0.5
        assert [one.path.rpartition(".")[2] for one in crd(manifest, folder)] == ["minReplicas"]


@pytest.mark.data
def test_kuberays_own_samples_fit_its_definitions_and_our_reading_of_its_rules(data_dir):
    """What we ask for beyond the operator, a token and time to drain, its authors' samples lack."""
    folder = data_dir / "kuberay"
    if not (folder / "samples").is_dir():
        pytest.skip(f"put KubeRay's ray-operator/config/samples into {folder}/samples to have them checked")
    documents = [
        one
        for path in sorted((folder / "samples").glob("*.yaml"))
        for one in yaml.safe_load_all(path.read_text())
        if one and one.get("kind") in FILES
    ]
    assert {one["kind"] for one in documents} == set(FILES)
    for one in documents:
        assert crd(one, folder) == []
        assert {finding.rule for finding in operator_rules(one)} <= {"token", "grace"}


def test_definitions_that_are_not_there_are_asked_for(tmp_path):
    with pytest.raises(ConfigurationError, match=r"rayjobs\.yaml"):
        validate(spec_of("kubernetes"), tmp_path)


CLUSTER = ("spec", "rayClusterSpec")
HEAD_POD = (*CLUSTER, "headGroupSpec", "template", "spec")
WORKER_POD = (*CLUSTER, "workerGroupSpecs", 0, "template", "spec")
OPERATOR_VIOLATIONS = [
    (("spec", "submissionMode"), "http", "submission"),
    (("spec", "submissionMode"), "InteractiveMode", "job"),  # it retries
    (("spec", "shutdownAfterJobFinishes"), None, None),
    (("spec", "ttlSecondsAfterFinished"), -1, "job"),
    (("spec", "activeDeadlineSeconds"), 0, "job"),
    (("spec", "clusterSelector"), {"ray.io/cluster": "a"}, "job"),
    (("spec", "rayClusterSpec"), None, "job"),
    (("spec", "runtimeEnvYAML"), "env_vars: {API_TOKEN: " + "abcdefgh12}", "secret"),
    (("metadata", "name"), "x" * 48, "name"),
    ((*CLUSTER, "authOptions"), None, "token"),
    ((*CLUSTER, "rayVersion"), "2.51.0", "token"),
    ((*CLUSTER, "workerGroupSpecs", 0, "minReplicas"), 9, "group"),
    ((*CLUSTER, "workerGroupSpecs", 0, "resources"), {"cpu": "1"}, None),
    ((*CLUSTER, "workerGroupSpecs", 0, "rayStartParams"), {"labels": "a=b"}, "group"),
    ((*CLUSTER, "workerGroupSpecs", 0, "template", "spec", "containers"), [], "group"),
    ((*CLUSTER, "autoscalerOptions", "version"), "v1", "autoscaler"),
    ((*HEAD_POD, "restartPolicy"), "Always", "autoscaler"),
    ((*CLUSTER, "gcsFaultToleranceOptions"), {"backend": "rocksdb", "redisAddress": "a:1"}, "gcs"),
    ((*CLUSTER, "gcsFaultToleranceOptions"), {"backend": "redis", "storage": {"size": "1Gi"}}, "gcs"),
    ((*WORKER_POD, "terminationGracePeriodSeconds"), 110, "grace"),
    ((*WORKER_POD, "containers", 0, "resources", "limits", "nvidia.com/gpu"), "500m", "whole-gpus"),
]


@pytest.mark.parametrize(("path", "value", "rule"), OPERATOR_VIOLATIONS)
def test_rules_see_what_kuberays_schema_does_not(path, value, rule):
    spec = change(spec_of("kubernetes"), "nodes.groups.priority", 1)
    manifest = broken(kuberay(spec, spec.where), *path, value=value)
    assert {one.rule for one in operator_rules(manifest)} == ({rule} if rule else set())


def test_pods_drain_before_they_end_and_hold_no_rights_that_they_do_not_need():
    spec = spec_of("kubernetes")
    for group in kuberay(spec, spec.where)["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        environment = {one["name"]: one["value"] for one in container["env"]}
        assert (
            int(environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]) < pod["terminationGracePeriodSeconds"]
        )
        assert not pod["automountServiceAccountToken"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_networks_policy_lets_in_our_pods_the_operator_and_the_submitter_and_names_out():
    spec = spec_of("kubernetes")
    policy = network_policy(spec, spec.where)["spec"]
    pods = kuberay(spec, spec.where)["spec"]["rayClusterSpec"]
    for group in (pods["headGroupSpec"], *pods["workerGroupSpecs"]):
        assert policy["podSelector"]["matchLabels"].items() <= group["template"]["metadata"]["labels"].items()
    inside, outside = policy["ingress"]
    assert inside == {"from": [{"podSelector": policy["podSelector"]}]}
    assert outside["ports"] == [{"port": 8265, "protocol": "TCP"}]
    assert all(rule.get("from") for rule in policy["ingress"])  # none means: from everywhere
    assert {port["port"] for rule in policy["egress"] for port in rule.get("ports", ())} == {53, 443, 6443}


def test_the_operator_is_known_by_either_of_its_labels_and_names_are_answered_anywhere():
    spec = spec_of("kubernetes")
    policy = network_policy(spec, spec.where)["spec"]
    labels = [one["podSelector"]["matchLabels"] for one in policy["ingress"][1]["from"]]
    assert {"app.kubernetes.io/component": "kuberay-operator"} in labels  # of the operator's own manifests
    assert {"app.kubernetes.io/name": "kuberay-operator"} in labels  # of Helm's
    [names] = [rule for rule in policy["egress"] if {"port": 53, "protocol": "UDP"} in rule.get("ports", ())]
    assert "to" not in names  # a node may answer itself, from an address of its own


@pytest.mark.parametrize(
    ("path", "identity", "addresses", "ports"),
    [
        ("s3://mine/studies", None, set(), set()),
        ("s3://mine/studies?endpoint=http://minio:9000", None, set(), {9000}),
        ("s3://mine/studies?endpoint=http://minio", None, set(), {80}),
        ("s3://mine/studies", "mine", {"169.254.170.23/32"}, {80}),
        ("gs://mine/studies", "mine", {"169.254.169.254/32", "169.254.169.252/32"}, {80, 8080, 987, 988}),
        ("abfs://mine@account.dfs.core.windows.net/studies", "mine", set(), set()),
    ],
)
def test_the_networks_policy_lets_out_what_the_storage_needs_and_no_more(path, identity, addresses, ports):
    spec = change(spec_of("kubernetes"), "storage", Storage(path, identity))
    out = network_policy(spec, spec.where)["spec"]["egress"]
    assert {port["port"] for rule in out for port in rule.get("ports", ())} == {53, 443, 6443} | ports
    blocks = [place["ipBlock"]["cidr"] for rule in out for place in rule.get("to", ()) if "ipBlock" in place]
    assert set(blocks) == addresses


def test_what_a_trial_runs_has_no_rights_on_the_cluster_also_with_an_identity():
    spec = change(spec_of("kubernetes"), "storage.identity", "mine")
    cluster = kuberay(spec, spec.where)["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    assert head["serviceAccountName"] == "mine"
    assert "automountServiceAccountToken" not in head  # its autoscaler asks for pods
    for group in cluster["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        assert pod["serviceAccountName"] == "mine"
        assert pod["automountServiceAccountToken"] is False


def test_the_address_of_the_storage_is_read_as_studies_read_it():
    spec = change(spec_of("aws"), "storage.path", "s3://mine/a/studies?region=us-west-2")
    worker = aws_foundation(spec, spec.where)["Resources"]["Worker"]["Properties"]["Policies"][0]
    resources = [one["Resource"] for one in worker["PolicyDocument"]["Statement"]]
    assert resources == ["arn:aws:s3:::mine/a/studies/*", "arn:aws:s3:::mine"]
    assert "--env=AWS_REGION=eu-central-1" in ray_up(spec)["docker"]["run_options"]


STUB = """#!/bin/bash
echo "$(basename "$0") $*" >> "$CALLS"
case "$(basename "$0") $1" in
    "scontrol show") printf 'n1\\nn2\\nn3\\n' ;;
    "srun --overlap") [[ "$*" == *hostname* ]] && echo 10.0.0.1 || sleep 0.2 ;;
    "python -m") echo "driver $RAY_ADDRESS $RAY_AUTH_MODE" >> "$CALLS"; exit 5 ;;
esac
exit 0
"""


def test_the_slurm_script_starts_head_workers_and_driver_and_says_its_exit_code(tmp_path):
    text = preset("slurm").replace("<partition>", "gpu").replace("min: 4, max: 4", "min: 3, max: 3")
    spec = change(parse_spec(text).spec, "where.entrypoint", "python -m mine")
    script = render(spec)["job.sbatch"]
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    for option in ("--partition=gpu", "--nodes=3", "--gpus-per-node=4", "--exclusive", "--signal=B:TERM@120"):
        assert f"#SBATCH {option}" in lines
    for name in ("scontrol", "srun", "ray", "python"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"
    calls.touch()
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "CALLS": str(calls),
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_JOB_ID": "7",
    }

    def run():
        return subprocess.run(
            ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
        )

    done = run()
    assert done.returncode == 4
    assert "no token" in done.stderr
    assert calls.read_text() == ""
    (tmp_path / ".ray").mkdir()
    token = tmp_path / ".ray" / "auth_token"
    token.write_text("t")
    token.chmod(0o644)
    done = run()
    assert done.returncode == 5, done.stderr
    assert token.stat().st_mode & 0o077 == 0
    said = calls.read_text()
    assert "--nodelist=n1 ray start --num-cpus=32 --num-gpus=4" in said
    assert "--head --node-ip-address=10.0.0.1 --port=20007 --dashboard-host=127.0.0.1" in said
    assert "--nodes=2 --ntasks=2 --exclude=n1 ray start" in said
    assert "driver 10.0.0.1:20007 token" in said


TERMINATED = """#!/bin/bash
case "$(basename "$0") $1" in
    "scontrol show") echo n1 ;;
    "srun --overlap") if [[ "$*" == *hostname* ]]; then printf '127.0.1.1\\nfe80::1 10.0.0.9 \\n'; fi ;;
esac
exit 0
"""
STUDY = """import pathlib, signal, sys, time
def leave(number, frame):
    time.sleep(0.5)  # it saves itself
    sys.exit(3)
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60.0)
"""


@pytest.mark.parametrize("entrypoint", ["{study}", "cd / && {study}", "export A=1; {study}"])
def test_before_its_time_is_up_a_slurm_job_tells_the_study_however_it_is_begun(tmp_path, entrypoint):
    (tmp_path / "study.py").write_text(STUDY)
    begun = tmp_path / "begun"
    line = entrypoint.format(study=f"{sys.executable} {tmp_path / 'study.py'} {begun}")
    text = preset("slurm").replace("<partition>", "gpu").replace("min: 4, max: 4", "min: 1, max: 1")
    script = render(change(parse_spec(text).spec, "where.entrypoint", line))["job.sbatch"]
    for name in ("scontrol", "srun", "ray"):
        (tmp_path / name).write_text(TERMINATED)
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("t")
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SLURM_JOB_NODELIST": "n1",
        "SLURM_JOB_ID": "7",
    }
    with subprocess.Popen(["bash", "-c", script], env=environment) as job:
        end = time.monotonic() + 60.0
        while not begun.exists():
            assert job.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        job.terminate()  # the batch shell alone, as `--signal=B:TERM` does
        assert job.wait(60.0) == 3
    assert 'export RAY_ADDRESS="$ip:' in script


def test_the_heads_address_is_one_that_others_can_reach(tmp_path):
    [line] = [one for one in render(_slurm())["job.sbatch"].split("\n\n") if "hostname --ip-address" in one]
    (tmp_path / "srun").write_text(TERMINATED)
    (tmp_path / "scontrol").write_text(TERMINATED)
    for name in ("srun", "scontrol"):
        (tmp_path / name).chmod(0o755)
    given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n1"}
    script = f"set -euo pipefail\n{line}\necho $RAY_ADDRESS"
    done = subprocess.run(["bash", "-c", script], env=given, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "10.0.0.9:20007", done.stderr
    (tmp_path / "srun").write_text("#!/bin/bash\necho 127.0.1.1\n")
    done = subprocess.run(["bash", "-c", script], env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "n1 has no address that others can reach" in done.stderr


def _slurm():
    text = preset("slurm").replace("<partition>", "gpu")
    return change(parse_spec(text).spec, "where.entrypoint", "python -m mine")
