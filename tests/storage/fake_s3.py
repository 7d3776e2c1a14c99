"""As much of S3 as our client speaks, on loopback, and the faults that a test asks for."""

import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

FAULTS = ("stall", "503", "507", "403", "cut", "lost")


class FakeS3(ThreadingHTTPServer):
    """One bucket, `bucket`; `fault` is what happens to requests: None, or one of `FAULTS`.

    `stall` answers nothing until the fault is taken away, `cut` closes the connection after half of what is
    uploaded, `lost` does what is asked and closes the connection instead of saying so. `conditional` is
    whether `If-None-Match` is heeded; None does not know it. With `only`, the fault befalls only requests of
    that method.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.uploads, self.asked = {}, {}, []
        self.fault, self.only, self.conditional = None, None, True
        self.mended, self.lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self.mend()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def break_down(self, fault, only=None):
        self.mended.clear()
        self.fault, self.only = fault, only

    def mend(self):
        self.fault = None
        self.mended.set()

    def handle_error(self, request, client_address):
        """A client that gave up is no error of ours."""

    def address(self, prefix=""):
        return f"s3://bucket/{prefix}?endpoint=http://127.0.0.1:{self.server_port}&region=us-east-1"


def tag(content):
    return f'"{zlib.crc32(content):08x}"'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, *args):
        pass

    def do(self, act):
        parts = urlsplit(self.path)
        self.query = {
            name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()
        }
        _, bucket, *key = unquote(parts.path).split("/", 2)
        self.key = key[0] if key else ""
        server = self.server
        server.asked.append((self.command, self.key))
        fault = server.fault if server.only in (None, self.command) else None
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "cut" and length:
            self.rfile.read(length // 2)
            self.close_connection = True
            return
        self.body = self.rfile.read(length)
        if fault == "stall":
            server.mended.wait()
            self.close_connection = True
        elif fault in ("503", "507", "403"):
            code = {"503": "SlowDown", "507": "InsufficientStorage", "403": "AccessDenied"}[fault]
            self.answer(int(fault), f"<Error><Code>{code}</Code></Error>".encode())
        elif bucket != "bucket":
            self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        else:
            with server.lock:
                status, body, headers = act()
            if fault == "lost":
                self.close_connection = True
            else:
                self.answer(status, body, headers)

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        self.do(self.listed if "list-type" in self.query_of() else self.got)

    def do_HEAD(self):
        self.do(self.got)

    def do_PUT(self):
        self.do(self.put_part if "partNumber" in self.query_of() else self.put)

    def do_POST(self):
        query = self.query_of()
        self.do(self.deleted if "delete" in query else self.begun if "uploads" in query else self.ended)

    def do_DELETE(self):
        self.do(self.removed)

    def query_of(self):
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def got(self):
        content = self.server.objects.get(self.key)
        if content is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        facts = {"ETag": tag(content), "Last-Modified": "Sun, 22 Nov 2026 00:00:00 GMT"}
        if self.headers.get("If-Match", facts["ETag"]) != facts["ETag"]:
            return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
        if (asked := self.headers.get("Range")) is None:
            return 200, content, facts
        first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        facts["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        return 206, part, facts

    def listed(self):
        prefix = self.query.get("prefix", "")
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
            f"<ETag>{escape(tag(content))}</ETag>"
            "<LastModified>2026-11-22T00:00:00.000Z</LastModified></Contents>"
            for key, content in sorted(self.server.objects.items())
            if key.startswith(prefix)
        )
        listing = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        return 200, listing.encode(), {"Content-Type": "application/xml"}

    def put(self):
        asked = self.headers.get("If-None-Match") == "*"
        if asked and self.server.conditional is None:
            return 501, b"<Error><Code>NotImplemented</Code></Error>", {}
        heeded = asked and self.server.conditional
        if heeded and self.key in self.server.objects:
            return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
        self.server.objects[self.key] = self.body
        return 200, b"", {"ETag": '"e"'}

    def begun(self):
        name = str(len(self.server.asked))
        self.server.uploads[name] = {}
        text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
        return 200, text.encode(), {}

    def put_part(self):
        self.server.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = self.body
        return 200, b"", {"ETag": f'"{self.query["partNumber"]}"'}

    def ended(self):
        parts = self.server.uploads.pop(self.query["uploadId"])
        self.server.objects[self.key] = b"".join(parts[number] for number in sorted(parts))
        text = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
        return 200, text.encode(), {}

    def deleted(self):
        keys = [one.text for one in ElementTree.fromstring(self.body).iter() if one.tag.endswith("Key")]
        for key in keys:
            self.server.objects.pop(key, None)
        told = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return 200, f"<DeleteResult>{told}</DeleteResult>".encode(), {}

    def removed(self):
        if "uploadId" in self.query:
            self.server.uploads.pop(self.query["uploadId"], None)
        else:
            self.server.objects.pop(self.key, None)
        return 204, b"", {}
