"""A cluster's door: closed, open, another's, or no door at all, each told in plain words."""

import json
import os
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from autotune.cluster.live.access import Access
from autotune.errors import ClusterError, ConfigurationError


@pytest.fixture
def dashboard():
    """Starts what answers as Ray's dashboard does; with a token, only to that."""
    servers = []

    def start(token=None, modes=True, lies=False):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                code, body = 200, {"ray_version": "2.60.0"}
                given = self.headers.get("Authorization", "")
                if self.path == "/api/authentication_mode":
                    code, body = (
                        200 if modes else 404,
                        {"authentication_mode": "token" if token or lies else "disabled"},
                    )
                elif token and given != f"Bearer {token}":
                    code, body = 403 if given else 401, {}
                self.send_response(code)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *given):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def token(tmp_path):
    file = tmp_path / "token"
    file.write_text("secret\n")
    return file


def test_the_right_token_opens_and_tells_the_version(dashboard, token):
    assert Access(dashboard("secret"), token).check() == "2.60.0"


def test_a_wrong_token_and_none_are_told_apart(dashboard, token, tmp_path):
    with pytest.raises(ConfigurationError, match=r"the token in .*token does not open the cluster at"):
        Access(dashboard("another"), token).check()
    with pytest.raises(ConfigurationError, match=r"asks for a token, and .*nowhere holds none"):
        Access(dashboard("another"), tmp_path / "nowhere").check()


@pytest.mark.parametrize("modes", [True, False])
def test_a_cluster_without_a_token_is_used_on_this_machine_alone(dashboard, tmp_path, monkeypatch, modes):
    address = dashboard(modes=modes)
    assert Access(address, tmp_path / "nowhere").check() == "2.60.0"
    monkeypatch.setattr("autotune.cluster.live.access.is_loopback", lambda host: False)
    with pytest.raises(ConfigurationError, match="asks for no token: whoever reaches it"):
        Access(address, tmp_path / "nowhere").check()
    assert Access(address, tmp_path / "nowhere", open_to_all=True).check() == "2.60.0"


@pytest.mark.parametrize("lies", [True, False])
def test_who_answers_without_a_token_is_open_whatever_it_says(dashboard, token, lies):
    with pytest.raises(ConfigurationError, match="asks for no token: whoever reaches it"):
        Access(dashboard(lies=lies), token, locked=True).check()
    assert Access(dashboard("secret"), token, locked=True).check() == "2.60.0"


def test_nobody_there_is_a_reason_to_try_again(token):
    with pytest.raises(ClusterError, match=r"no Ray dashboard answers at http://127.0.0.1:9 within 3 s"):
        Access("http://127.0.0.1:9", token).check()


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://head:10001", "http://me:secret@head:8265", ""])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ConfigurationError, match="address must be that of a Ray dashboard"):
        Access(address)


def test_no_error_and_no_description_tells_the_token(dashboard, token):
    access = Access(dashboard("another"), token)
    with pytest.raises(ConfigurationError) as caught:
        access.check()
    assert "secret" not in f"{caught.value!r} {access!r}"


class _Named(BaseHTTPRequestHandler):
    """Answers every request with another address, and notes who showed it a token."""

    shown: list = []  # noqa: RUF012 -- every request has a handler of its own
    elsewhere = "http://127.0.0.1:9/"

    def do_GET(self):
        self.shown.append((self.path, self.headers.get("Authorization")))
        self.send_response(302)
        self.send_header("Location", self.elsewhere)
        self.end_headers()

    def log_message(self, *given):
        pass


@pytest.fixture
def named():
    _Named.shown = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Named)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_proxy_is_shown_no_token(dashboard, token, named, monkeypatch):
    """Neither when we knock, nor by Ray's own client of jobs."""
    from autotune.cluster.live.jobs import connect

    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, named)
    access = Access(dashboard("secret"), token)
    assert access.check() == "2.60.0"
    with suppress(TypeError):  # this is no dashboard that knows of jobs
        connect(access).list_jobs()
    assert _Named.shown == []
    assert "no_proxy" not in os.environ


def test_a_token_is_not_carried_to_where_an_answer_points(dashboard, token, named, monkeypatch):
    monkeypatch.setattr(_Named, "elsewhere", dashboard("secret"))
    with pytest.raises(ClusterError, match="answers 302; is it a Ray dashboard"):
        Access(named, token).check()
