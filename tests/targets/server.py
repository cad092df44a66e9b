"""A server on this machine in the cloud's place: it takes any request, and remembers what was asked for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

COMMON = {
    *("Version", "Format", "AccessKeyId", "Timestamp", "SecurityToken"),
    *("Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "SignatureType"),
}
"""Parameters of every RPC request, which are no part of ImportImage."""


class Server:
    """What was asked for, and where."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.asked: list[dict[str, str]] = []

    def parameters(self) -> dict[str, str]:
        """Those of the only request, Action with them, without what every request has."""
        (asked,) = self.asked
        return {name: value for name, value in asked.items() if name not in COMMON}


@contextmanager
def listening() -> Iterator[Server]:
    """A server that answers until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            pairs = parse_qsl(urlsplit(self.path).query, keep_blank_values=True, strict_parsing=True)
            pairs += parse_qsl(body, keep_blank_values=True, strict_parsing=True) if body else []
            asked = dict(pairs)
            assert len(asked) == len(pairs), "a parameter came twice"
            if action := self.headers.get("x-acs-action"):
                asked["Action"] = action
            server.asked.append(asked)
            answer = {"RequestId": "R", "ImageId": "m-1", "TaskId": "t-1", "RegionId": "cn-hangzhou"}
            text = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Server(http.server_address[1])
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
