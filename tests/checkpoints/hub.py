"""A server on loopback that speaks the Hugging Face hub's protocol."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories (name -> file -> bytes), the requests made, and bad moods.

    ``cut``: (file, bytes) after which its next body ends. ``refuse``: paths that get
    this status instead of an answer.
    """

    def __init__(self, repositories):
        self.repositories = repositories
        self.requests = []
        self.tokens = []  # what each request said of who asks
        self.cut = None
        self.refuse = {}
        self.url = ""

    def bodies(self):
        """Files whose bytes were asked for, with the range."""
        return [
            (path.rsplit("/", 1)[-1], asked)
            for method, path, asked in self.requests
            if method == "GET" and "/resolve/" in path
        ]


@contextmanager
def serve(hub):
    """Answer requests until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, body):
            path = self.path.split("?", 1)[0]
            asked = self.headers.get("Range")
            hub.requests.append((self.command, path, asked))
            hub.tokens.append(self.headers.get("Authorization"))
            for pattern, status in hub.refuse.items():
                if re.search(pattern, path):
                    return self.send(status, b"no", {}, body)
            info = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path)
            tree = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path)
            file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            if match := info or tree:
                return self.listing(match[1], bool(tree), body)
            if file and file[1] in hub.repositories:
                return self.file(hub.repositories[file[1]], file[3], asked, body)
            return self.missing("RepoNotFound", body)

        def listing(self, name, as_tree, body):
            if name not in hub.repositories:
                return self.missing("RepoNotFound", body)
            files = [
                {"rfilename": n, "path": n, "type": "file", "size": len(content),
                 "oid": hashlib.sha1(content).hexdigest()}
                for n, content in hub.repositories[name].items()
            ]  # fmt: skip
            answer = {"id": name, "sha": COMMIT, "siblings": files, "tags": [],
                      "private": False}  # fmt: skip
            content = json.dumps(files if as_tree else answer).encode()
            return self.send(200, content, {"Content-Type": "application/json"}, body)

        def file(self, files, name, asked, body):
            if name not in files:
                return self.missing("EntryNotFound", body)
            content, status = files[name], 200
            headers = {
                "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Repo-Commit": COMMIT,
                "Accept-Ranges": "bytes",
            }
            if asked and body:
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
                headers["Content-Range"] = (
                    f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
                content, status = content[start:], 206
            return self.send(status, content, headers, body)

        def missing(self, code, body):
            headers = {"X-Error-Code": code, "X-Error-Message": "not there",
                       "X-Repo-Commit": COMMIT}  # fmt: skip
            return self.send(404, b"{}", headers, body)

        def send(self, status, content, headers, body):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            if body and hub.cut is not None and self.path.endswith(hub.cut[0]):
                content, hub.cut = content[: hub.cut[1]], None
                self.close_connection = True
            if body:
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
