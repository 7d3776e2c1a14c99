"""From what a cloud's metadata service says to a node that drains; formats as the clouds document them."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from autotune.cluster.spot.aws import AWS, interruption, rebalance
from autotune.cluster.spot.azure import Azure, event
from autotune.cluster.spot.gcp import GCP, maintenance, preempted
from autotune.cluster.spot.node import Node
from autotune.cluster.spot.notice import Notice, fetch
from autotune.cluster.spot.watch import watch
from autotune.errors import ClusterError

ACTION = '{"action": "stop", "time": "2017-09-18T08:22:00Z"}'
AT_S = 1505722920.0


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        (ACTION, AT_S),
        ('{"action": "terminate", "time": "2017-09-18T08:22:00+00:00"}', AT_S),
        ('{"action": "hibernate"}', None),
        ('{"action": "terminate", "time": "soon"}', None),
        ('{"action": "terminate", "time": "2017-09-18T08:22:00"}', None),  # whose clock?
        ('{"action": "terminate", "time": 7}', None),
    ],
)
def test_aws_names_an_action_and_mostly_a_time(text, at_s):
    notice = interruption(text)
    assert notice.at_s == at_s
    assert notice.certain
    assert notice.why.startswith("AWS will ")


@pytest.mark.parametrize(
    "text", ["", "<html>log in</html>", "[]", "{}", '{"action": "none"}', '{"action": ["stop"]}', "null"]
)
def test_what_aws_does_not_document_is_no_notice(text):
    with pytest.raises(ClusterError, match="not as documented"):
        interruption(text)
    with pytest.raises(ClusterError, match="not as documented"):
        rebalance(text)


def test_a_rebalance_recommendation_is_not_certain():
    assert not rebalance('{"noticeTime": "2020-10-27T08:22:00Z"}').certain


def test_google_says_true_or_false_and_names_the_maintenance():
    assert preempted("FALSE", 0.0) is preempted(None, 0.0) is None
    assert preempted("TRUE\n", 5.0) == Notice("Google takes it back", 35.0)
    for text in (None, "NONE", "MIGRATE_ON_HOST_MAINTENANCE"):
        assert maintenance(text) is None
    assert maintenance("TERMINATE_ON_HOST_MAINTENANCE").certain
    for text in ("", "true", "<html>"):
        with pytest.raises(ClusterError, match="not as documented"):
            preempted(text, 0.0)
        with pytest.raises(ClusterError, match="not as documented"):
            maintenance(text)


def scheduled(kind="Preempt", resources=("vm",), before="Mon, 19 Sep 2016 18:29:47 GMT"):
    """The document as Azure's pages show it."""
    one = {
        "EventId": "602d9444-d2cd-49c7-8624-8643e7171297",
        "EventType": kind,
        "ResourceType": "VirtualMachine",
        "Resources": resources,
        "EventStatus": "Scheduled",
        "NotBefore": before,
        "Description": "",
        "EventSource": "Platform",
        "DurationInSeconds": -1,
    }
    return json.dumps({"DocumentIncarnation": 2, "Events": [one]})


def test_azure_tells_all_machines_of_a_group_and_we_listen_for_our_own():
    assert event(scheduled(), "vm") == Notice("Azure announces Preempt", 1474309787.0)
    assert event(scheduled(before=""), "vm").at_s is None  # it has begun
    for kind in ("Terminate", "Redeploy", "Reboot"):
        assert event(scheduled(kind), "vm") is not None
    for text in (scheduled("Freeze"), scheduled(resources=["another"]), scheduled(resources=None)):
        assert event(text, "vm") is None
    assert event('{"DocumentIncarnation": 1, "Events": []}', "vm") is None
    for text in ("", "<html>", "[]", "{}", '{"Events": {}}', '{"Events": ["Preempt"]}'):
        with pytest.raises(ClusterError, match="not as documented"):
            event(text, "vm")


@pytest.fixture
def metadata():
    """A service on loopback: answers by path, each a text, a status or seconds of silence; what was asked."""
    answers, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.command, self.path, dict(self.headers)))
            found = answers.get(self.path.split("?")[0], 404)
            if isinstance(found, float):
                time.sleep(found)
                found = 404
            status, body = (found, "") if isinstance(found, int) else (200, found)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_PUT = do_GET  # noqa: N815  # the name that is looked for

        def log_message(self, *given):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.answers, server.asked = answers, asked
    server.address = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def test_aws_is_asked_with_a_token_that_is_renewed_when_it_is_refused(metadata):
    service, there = AWS(metadata.address), metadata.answers
    there["/latest/api/token"] = "planted-token"
    assert service.ask() is None
    assert service.ask() is None
    assert [path for how, path, _ in metadata.asked if how == "PUT"] == ["/latest/api/token"]
    shown = [headers.get("X-Aws-Ec2-Metadata-Token") for how, _, headers in metadata.asked if how == "GET"]
    assert set(shown) == {"planted-token"}
    there["/latest/meta-data/events/recommendations/rebalance"] = '{"noticeTime": "2020-10-27T08:22:00Z"}'
    assert not service.ask().certain
    there["/latest/meta-data/spot/instance-action"] = 401
    with pytest.raises(ClusterError, match=r"spot/instance-action answers 401") as caught:
        service.ask()
    assert "planted" not in str(caught.value)
    there["/latest/meta-data/spot/instance-action"] = ACTION
    assert service.ask() == Notice("AWS will stop it", AT_S)
    assert [how for how, _, _ in metadata.asked].count("PUT") == 2


def test_google_is_asked_to_answer_when_something_changes(metadata):
    service, there = GCP(metadata.address), metadata.answers
    at = "/computeMetadata/v1/instance/"
    there |= {f"{at}preempted": "FALSE", f"{at}maintenance-event": "NONE"}
    assert service.ask() is None
    there[f"{at}preempted"] = "TRUE"
    assert service.ask().why == "Google takes it back"
    assert all(headers["Metadata-Flavor"] == "Google" for _, _, headers in metadata.asked)
    assert "wait_for_change=true" in metadata.asked[0][1]
    there |= {f"{at}preempted": "FALSE", f"{at}maintenance-event": "TERMINATE_ON_HOST_MAINTENANCE"}
    assert "maintenance" in service.ask().why


def test_azure_is_asked_for_the_machines_name_once(metadata):
    service, there = Azure(metadata.address), metadata.answers
    there |= {"/metadata/instance/compute/name": "vm", "/metadata/scheduledevents": scheduled("Freeze")}
    assert service.ask() is None
    there["/metadata/scheduledevents"] = scheduled()
    assert service.ask().why == "Azure announces Preempt"
    assert [path.split("?")[0] for _, path, _ in metadata.asked].count("/metadata/instance/compute/name") == 1
    assert all(headers["Metadata"] == "true" for _, _, headers in metadata.asked)


def test_a_service_that_is_absent_slow_or_behind_a_proxy_is_told_within_seconds(metadata, monkeypatch):
    monkeypatch.setattr("autotune.cluster.spot.notice.PATIENCE_S", 0.2)
    metadata.answers["/slow"] = 5.0
    with pytest.raises(ClusterError, match=r"does not answer within 0.2 s"):
        fetch(f"{metadata.address}/slow", {})
    with pytest.raises(ClusterError, match="does not answer"):
        fetch("http://127.0.0.1:9/", {})
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    metadata.answers["/here"] = "yes"
    assert fetch(f"{metadata.address}/here", {}) == "yes"
    assert fetch(f"{metadata.address}/nowhere", {}) is None


class Scripted:
    """A service, or a node, that does one thing after another; an error is raised."""

    def __init__(self, *answers):
        self.answers, self.drained = list(answers), []

    def ask(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def alive(self):
        return bool(self.answers)

    def drain(self, notice):
        if (answer := self.ask()) is not None:
            raise answer
        self.drained.append(notice)


def watched(service, node, **given):
    said = []
    watch(service, node, said.append, every_s=0.0, **given)
    return said


class Living(Scripted):
    """A node that lives for some questions."""

    def __init__(self, questions, *answers):
        super().__init__(*answers)
        self.questions = questions

    def alive(self):
        self.questions -= 1
        return self.questions >= 0


SURE, LIKELY = Notice("it goes"), Notice("it may go", certain=False)


def test_each_thing_is_said_once_and_the_node_is_drained_once_until_it_ends():
    away, head = ClusterError("away"), ClusterError("no head")
    service = Scripted(None, None, away, away, None, SURE, SURE, None)
    node = Living(9, head, None)
    said = watched(service, node)
    assert said == [
        "no notice", "away", "no notice", "no head", "it goes: the node is draining", "the node has ended"
    ]  # fmt: skip
    assert node.drained == [SURE]
    assert service.answers == [None]  # nobody asks any more once the node is draining


def test_a_node_stays_when_its_end_is_only_likely_unless_told_otherwise():
    stays = Living(2)
    assert "stays" in watched(Scripted(LIKELY, LIKELY), stays)[0]
    leaves = Living(2, None)
    watched(Scripted(LIKELY), leaves, leave_early=True)
    assert (stays.drained, leaves.drained) == ([], [LIKELY])


@pytest.fixture
def raylet():
    """A process whose command line is a raylet's; the kernel shows none for a moment after its start."""
    code = "import sys; print('here', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, "--node_id=ab12", "--gcs-address=10.0.0.1:6379"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"here\n"
        yield process
        process.kill()


def test_the_node_is_found_by_its_raylet_and_ends_with_it(raylet):
    assert Node.here("10.0.0.1:6380") is None
    node = Node.here("10.0.0.1:6379")
    assert (node.id, node.process.name) == ("ab12", str(raylet.pid))
    assert node.alive()
    raylet.kill()
    raylet.wait()
    assert not node.alive()
    assert not Node("ab12", Path(f"/proc/{os.getpid()}"), "").alive()  # another process of that number


def test_a_watcher_ends_with_its_raylet_and_tells_no_secret(raylet, metadata):
    metadata.answers["/latest/api/token"] = "planted-token"
    command = [sys.executable, "-m", "autotune.cluster.spot", "aws", "--address", "10.0.0.1:6379"]
    with subprocess.Popen(
        [*command, "--metadata", metadata.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as watcher:
        first = watcher.stdout.readline()
        assert first.endswith("autotune spot: no notice\n"), first + watcher.stdout.read()
        raylet.kill()
        rest = watcher.stdout.read()
        assert watcher.wait(60) == 0
    assert "the node has ended" in rest
    assert "planted" not in first + rest
