"""What a cloud tells a machine about itself at 169.254.169.254, as AWS does: here, that it will be taken.

    python metadata.py FOLDER ADDRESS

Who asks is told by its address: the answer to `GET /latest/...` is the file `FOLDER/<address>/latest/...`.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "lab"
ACTION = "latest/meta-data/spot/instance-action"


def notify(folder: Path, address: str, time_iso: str) -> None:
    """Tell a machine that it will be taken.

    Args:
        folder: That of the service.
        address: The machine's.
        time_iso: When, such as `2026-01-01T00:02:00Z`.
    """
    path = folder / address / ACTION
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"action": "terminate", "time": time_iso}))


class Metadata(BaseHTTPRequestHandler):
    """Version 2 of AWS's service: a token first."""

    folder: Path

    def do_PUT(self) -> None:
        """A token."""
        self._answer(200 if self.path == "/latest/api/token" else 404, TOKEN)

    def do_GET(self) -> None:
        """What there is to tell to whoever asks."""
        path = (self.folder / self.client_address[0] / self.path.lstrip("/")).resolve()
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self._answer(401, "a token is needed")
        elif path.is_relative_to(self.folder.resolve()) and path.is_file():
            self._answer(200, path.read_text())
        else:
            self._answer(404, "")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that it overrides
        """Nothing."""

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    Metadata.folder = Path(sys.argv[1])
    ThreadingHTTPServer((sys.argv[2], 80), Metadata).serve_forever()
