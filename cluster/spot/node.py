"""The node of Ray's on this machine: whether it lives, and how it is told to go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from autotune.cluster.spot.notice import Notice
from autotune.errors import ClusterError

PATIENCE_S: Final = 5.0
PROCESSES: Final = Path("/proc")


@final
@dataclass(frozen=True)
class Node:
    """A raylet's node.

    Attributes:
        id: Ray's, in hexadecimal.
        process: Its folder in /proc.
        address: Of the control service, `host:port`.
    """

    id: str
    process: Path
    address: str

    @classmethod
    def here(cls, address: str) -> Node | None:
        """The one on this machine that belongs to a cluster, by its command line; None when there is none."""
        for process in PROCESSES.glob("[0-9]*"):
            words = _words(process)
            if f"--gcs-address={address}" in words:
                found = [word.removeprefix("--node_id=") for word in words if word.startswith("--node_id=")]
                if found:
                    return cls(found[0], process, address)
        return None

    def alive(self) -> bool:
        """Whether its raylet has not ended; another process of the same number is not taken for it."""
        return f"--node_id={self.id}" in _words(self.process)

    def drain(self, notice: Notice) -> None:
        """Have Ray give it no more work, and tell those who ask that it goes; as `ray drain-node` does.

        That command takes seconds to start, and this is called when there are few: hence Ray's own client,
        which is private as is the command.

        Raises:
            ClusterError: When the control service does not take it.
        """
        from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
        from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # type: ignore[attr-defined]  # the same

        reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")  # the only one that cannot be refused
        until_ms = 0 if notice.at_s is None else round(1000 * notice.at_s)
        try:
            control = GcsClient(address=self.address)
            taken, why = control.drain_node(self.id, reason, notice.why, until_ms, timeout=PATIENCE_S)
        except Exception as error:  # of many kinds, Ray's and gRPC's
            raise ClusterError(f"Ray at {self.address} does not answer: {error}; trying on") from error
        if not taken:
            raise ClusterError(f"Ray at {self.address} does not drain this node: {why}; trying on")


def _words(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it has ended
        return []
