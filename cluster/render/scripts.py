"""Shell scripts: one job of Slurm, and a cluster of this machine alone."""

from __future__ import annotations

import math
import shlex
from typing import Final

from autotune.cluster.description.places import GCP, Local, Slurm
from autotune.cluster.description.spec import TOKEN_FILE, ClusterSpec, Machine
from autotune.cluster.render.common import LOOPBACK, header, shell_path, switches, whole

SHELL: Final = "#!/bin/bash\n"
STRICT: Final = "set -euo pipefail\numask 077  # what Ray writes, its token included, is for its owner only\n"
WAIT_S: Final = 120
LOOPBACK_ONLY: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # Ray's switch for ports; clients', too


def slurm(spec: ClusterSpec, where: Slurm) -> str:
    """The batch script: head and driver on the first node, workers on the others."""
    group = spec.nodes.groups[0]
    machine, nodes = group.machine, group.count.max
    options = [
        f"--job-name={spec.name}",
        f"--partition={where.partition}",
        f"--nodes={nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={machine.cpus}",
        f"--mem={math.ceil(machine.memory_gib)}G",
        f"--time={_clock(where.hours)}",
        f"--signal=B:TERM@{spec.nodes.recovery.grace_s}",
        "--exclusive",  # Ray's ports for metrics ask for no token
        "--requeue",
        "--open-mode=append",
        "--export=NONE",
    ]
    options += [f"--gpus-per-node={whole(machine.gpus)}"] if machine.gpus else []
    options += [f"--account={where.account}"] if where.account is not None else []
    lines = "".join(f"#SBATCH {option}\n" for option in (*options, *where.options))
    label = f"--labels=ray.io/node-group={group.name}"
    start = f"ray start {_offers(machine)} {label} --disable-usage-stats --block"
    exported = f"export SLURM_EXPORT_ENV=ALL SRUN_CPUS_PER_TASK={machine.cpus}\n"
    return (
        f"{SHELL}{header(spec, 'Slurm job')}{lines}\n{STRICT}{exported}{prepared(spec)}"
        f"""
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${{hosts[0]}}
# the head's address for others: what its own name means there may be loopback's
ip=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \\
    bash -c 'hostname --ip-address; hostname --all-ip-addresses' | tr ' ' '\\n' \\
    | awk '/\\./ && !/^127\\./ && !found++')
if [ -z "$ip" ]; then echo "autotune: $head has no address that others can reach" >&2; exit 3; fi
export RAY_ADDRESS="$ip:$((20000 + SLURM_JOB_ID % 20000))"

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" {start} --head --node-ip-address="$ip" \\
    --port="${{RAY_ADDRESS##*:}}" --dashboard-host={LOOPBACK} &
for _ in $(seq {WAIT_S}); do
    if ray health-check --address "$RAY_ADDRESS" > /dev/null 2>&1; then break; fi
    sleep 1
done
ray health-check --address "$RAY_ADDRESS" || {{ echo "autotune: the head did not start" >&2; exit 3; }}
if [ ${{#hosts[@]}} -gt 1 ]; then
    srun --overlap --nodes=$((${{#hosts[@]}} - 1)) --ntasks=$((${{#hosts[@]}} - 1)) --exclude="$head" \\
        {start} --address="$RAY_ADDRESS" &
    # says how many are missing; the study runs on those that are there
    python -m autotune.cluster.live.gathered ${{#hosts[@]}} --address "$RAY_ADDRESS" || true
fi

set -m  # a process group of its own: all that the entrypoint starts is told
(
trap : TERM  # this shell hands on the exit code of what it waits for
{where.entrypoint}
) &
driver=$!
# {spec.nodes.recovery.grace_s} s before the end: the study saves itself
trap 'kill -TERM -- "-$driver"' TERM
code=0
wait "$driver" || code=$?
if [ "$code" -gt 128 ]; then  # the trap has ended the wait, or a signal the driver, which 127 tells apart
    again=0
    wait "$driver" 2> /dev/null || again=$?
    if [ "$again" -ne 127 ]; then code=$again; fi
fi
exit "$code"
"""
    )


def local(spec: ClusterSpec, where: Local) -> str:
    """The script that runs Ray on this machine, and nothing besides, until it is sent SIGTERM."""
    machine = spec.nodes.groups[0].machine
    port, client_port, autoscaler_port, metrics_port, _ = where.ports
    metrics = {"AUTOSCALER_METRIC_PORT": str(autoscaler_port), "DASHBOARD_METRIC_PORT": str(metrics_port)}
    exported = _exports({**LOOPBACK_ONLY, **metrics})
    return (
        f"{SHELL}{header(spec, 'start script')}\n{STRICT}{exported}{prepared(spec)}"
        f"""
exec ray start --head {_offers(machine)} --node-ip-address={LOOPBACK} --port={port} \\
    --ray-client-server-port={client_port} --dashboard-agent-listen-port=0 \\
    --dashboard-host={LOOPBACK} --dashboard-port={where.dashboard_port} --disable-usage-stats --block
"""
    )


def gcp_foundation(spec: ClusterSpec, where: GCP) -> str:
    """Firewall rules and service accounts: SSH from one place, all ports between our nodes.

    The network named `default` lets SSH in from everywhere: give the cluster one of its own. The head may
    change all instances of the project, and so wants a project of its own, too.
    """
    project, subnet, region, source, bucket, head = map(
        shlex.quote,
        (
            where.project,
            where.subnetwork.rpartition("/")[2],
            where.zone.rpartition("-")[0],
            where.ssh_cidr,
            "/".join(spec.storage.path.split("/")[:3]),
            where.head_account,
        ),
    )
    worker = shlex.quote(spec.storage.identity or f"{spec.name}-worker")
    return f"""{SHELL}{header(spec, "foundation")}
{STRICT}project={project} head={head} worker={worker} bucket={bucket}
network=$(gcloud compute networks subnets describe {subnet} --project="$project" --region={region} \\
    --format='value(network)')
case "$network" in
    */default) echo "autotune: the default network is open to the world" >&2; exit 4 ;;
esac
rule() {{
    gcloud compute firewall-rules create "{spec.name}-$1" --project="$project" --network="$network" \\
        --direction=INGRESS --target-tags={spec.name} "${{@:2}}"
}}
rule ssh --allow=tcp:22 --source-ranges={source}
rule inside --allow=tcp,udp,icmp --source-tags={spec.name}
for account in "$head" "$worker"; do
    gcloud iam service-accounts create "${{account%%@*}}" --project="$project"
    gcloud storage buckets add-iam-policy-binding "$bucket" --member="serviceAccount:$account" \\
        --role=roles/storage.objectUser
done
gcloud projects add-iam-policy-binding "$project" --member="serviceAccount:$head" --condition=None \\
    --role=roles/compute.instanceAdmin.v1
gcloud iam service-accounts add-iam-policy-binding "$worker" --project="$project" \\
    --member="serviceAccount:$head" --role=roles/iam.serviceAccountUser
"""


def prepared(spec: ClusterSpec) -> str:
    """Switches, the token's file and the software."""
    token = shell_path(spec.authentication.token_file or TOKEN_FILE)
    lines = _exports(switches(spec)) + f"export RAY_AUTH_TOKEN_PATH={token}\n"
    lines += (
        'if [ ! -s "$RAY_AUTH_TOKEN_PATH" ]; then\n'
        '    echo "autotune: no token in $RAY_AUTH_TOKEN_PATH; make one: ray get-auth-token --generate" >&2\n'
        "    exit 4\nfi\n"
        'chmod 600 "$RAY_AUTH_TOKEN_PATH"\n'
    )
    if spec.image.name is not None:
        lines += f". {shell_path(spec.image.name)}/bin/activate\n"
    return lines + "".join(f"{one}\n" for one in spec.image.setup)


def _exports(values: dict[str, str]) -> str:
    return "".join(f"export {name}={value}\n" for name, value in values.items())


def _offers(machine: Machine) -> str:
    return f"--num-cpus={machine.cpus} --num-gpus={whole(machine.gpus)}"


def _clock(hours: float) -> str:
    minutes = math.ceil(60 * hours)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
