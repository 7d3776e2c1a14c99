"""A place of its own for one cluster: network, processes, memory and Ray's folders."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import final

from .host import Host
from .process import PYTHON, Namespaces, Process

BRIDGE = "10.77.0.254"
OWN = "02:00:0a:4d:00:fe"  # else it is the lowest of its ports', and hosts go on sending to one that is gone
METADATA = "169.254.169.254"  # where a machine of a cloud asks about itself
TOOLS = ("unshare", "nsenter", "ip", "mount")


def missing() -> str | None:
    """Why there can be no sandbox here; None when there can."""
    if os.geteuid() != 0:
        return "the cluster laboratory needs root, to make namespaces"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"the cluster laboratory needs {', '.join(absent)}"
    kinds = ("--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--mount-proc")
    commands = (("mount", "-t", "tmpfs", "tmpfs", "/mnt"), ("ip", "link", "add", "br0", "type", "bridge"))
    for command in commands:
        done = subprocess.run(["unshare", *kinds, *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"the cluster laboratory cannot use namespaces here: {done.stderr.strip()}"
    return None


@final
class Sandbox:
    """Hosts on a bridge that leads nowhere else. Its folder is the storage that all of them share.

    Args:
        folder: Of the hosts' logs, and of the study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._space = Namespaces("sandbox", BRIDGE)
        self._hosts: list[Host] = []
        self._services: list[Process] = []
        try:
            self.ip("link", "add", "br0", "address", OWN, "type", "bridge")
            self.ip("addr", "add", f"{BRIDGE}/24", "dev", "br0")
            self.ip("addr", "add", f"{METADATA}/32", "dev", "br0")
            self.ip("link", "set", "br0", "up")
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def ip(self, *arguments: str) -> None:
        """The `ip` command in the sandbox's network; processes have the numbers they have out here."""
        subprocess.run([*self._space.entering("-n"), "ip", *arguments], check=True, capture_output=True)

    def serve_metadata(self) -> Path:
        """Start the cloud's metadata service; returns the folder of what it tells, see `metadata.notify`."""
        told = self.folder / "metadata"
        told.mkdir()
        command = [*PYTHON, str(Path(__file__).with_name("metadata.py")), str(told), METADATA]
        self._services.append(Process([*self._space.entering(), *command], {}, self.folder / "metadata.log"))
        return told

    def host(self, name: str, address: str | None = None) -> Host:
        """A new machine that runs nothing yet.

        Args:
            name: Its host name.
            address: That of one that was lost; None takes a new one.
        """
        number = len(self._hosts) + 1
        if number > 250:
            raise RuntimeError("a sandbox has 250 addresses")
        address = address or f"10.77.0.{number}"
        space = Namespaces(name, address, self._space.entering())
        host = Host(name, address, space, self)
        self._hosts.append(host)
        link, inside = host.link, space.entering("-n")
        self._forget(link)
        self.ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(space.pid))
        self.ip("link", "set", link, "master", "br0", "up")
        for arguments in (
            ("addr", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", BRIDGE),  # Ray asks for a route to learn its address
        ):
            subprocess.run([*inside, "ip", *arguments], check=True, capture_output=True)
        return host

    def _forget(self, link: str) -> None:
        """The cable of a lost machine goes a moment after it."""
        command = [*self._space.entering("-n"), "ip", "link", "del", link]
        subprocess.run(command, check=False, capture_output=True)

    def end(self) -> None:
        """Nothing of it is left; safe to call twice."""
        self._space.end()
        self._space.forget()
        for host in self._hosts:
            host.forget()
        while self._services:
            self._services.pop().wait(10.0)
