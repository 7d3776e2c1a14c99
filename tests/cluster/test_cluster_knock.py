"""A token that is missing or another's, said before Ray has tried for long."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from autotune.cluster.live.knock import METHOD, knock, own_token
from autotune.errors import ConfigurationError


@pytest.fixture
def control():
    """Starts what answers as Ray's control service does; with a token, only to that."""
    servers = []

    def start(token=None, method=METHOD):
        def answer(request, context):
            if token and dict(context.invocation_metadata()).get("authorization") != f"Bearer {token}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            return b""

        service, name = method.strip("/").split("/")
        handler = grpc.method_handlers_generic_handler(
            service, {name: grpc.unary_unary_rpc_method_handler(answer)}
        )
        server = grpc.server(ThreadPoolExecutor(2), handlers=(handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def token(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    return tmp_path / "token"


def test_our_token_opens_and_an_open_cluster_asks_for_none(control, token):
    token.write_text("planted-token\n")
    assert knock(control("planted-token"))
    assert not knock(control())


def test_an_open_cluster_of_other_machines_is_joined_only_by_its_name(control, token, monkeypatch):
    address = control()
    assert not knock(address, named=False)  # on loopback
    monkeypatch.setattr("autotune.cluster.live.knock.is_loopback", lambda host: False)
    with pytest.raises(ConfigurationError, match=rf"asks for no token.*address={address}"):
        knock(address, named=False)
    assert not knock(address)
    assert not knock("127.0.0.1:9", named=False)  # nobody is there yet
    token.write_text("planted-token")
    assert knock(control("planted-token"), named=False)


def test_no_token_and_a_wrong_one_are_told_apart_and_never_repeated(control, token):
    address = control("another")
    with pytest.raises(ConfigurationError, match=r"asks for a token, and .*token holds none; copy"):
        knock(address)
    token.write_text("planted-token")
    with pytest.raises(ConfigurationError, match=r"the token in .*token does not open the cluster") as caught:
        knock(address)
    assert "planted" not in str(caught.value)


def test_who_does_not_answer_is_left_to_ray(control, token, monkeypatch):
    monkeypatch.setattr("autotune.cluster.live.knock.PATIENCE_S", 0.2)
    assert not knock("127.0.0.1:9")
    assert not knock(control("another", "/ray.rpc.Other/Question"))


def test_rays_own_variable_comes_before_the_file(token, monkeypatch):
    token.write_text("from-file")
    assert own_token() == "from-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-variable")
    assert own_token() == "from-variable"
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    token.write_bytes(b"\xff\xfe")
    assert own_token() == ""
