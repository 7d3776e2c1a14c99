"""The first process of a sandbox or a host: everything in it ends when this one does.

    python init.py NAME ADDRESS

It ends with its standard input, so with whoever started it, however that one dies.
"""

import signal
import socket
import subprocess
import sys
from pathlib import Path

PRIVATE = {"/tmp/ray": "2g", "/dev/shm": "1g"}  # Ray's files, and its object store


def main(name: str, address: str) -> None:
    socket.sethostname(name)
    for folder, size in PRIVATE.items():
        Path(folder).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    names = {"hosts": f"127.0.0.1 localhost\n{address} {name}\n", "resolv.conf": ""}  # nobody else is asked
    for file, text in names.items():
        Path("/dev/shm", file).write_text(text)
        subprocess.run(["mount", "--bind", f"/dev/shm/{file}", f"/etc/{file}"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans leave nothing behind
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
