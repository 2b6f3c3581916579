"""A bucket of Google's on this machine: a proxy that answers in the name of its servers."""

import contextlib
import http.server
import json
import shutil
import ssl
import subprocess
import threading
import urllib.parse

import pytest

_NAMES = ("storage.googleapis.com", "www.googleapis.com")


@contextlib.contextmanager
def serve_bucket(folder, secrets):
    """Serves a folder as `gs://bucket`; gives an environment, and a list of the ranges sent."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate of the server")
    key, certificate = secrets / "key.pem", secrets / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={_NAMES[0]}", "-keyout", key, "-out", certificate]
    command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in _NAMES)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ranges = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self):
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", 0)
            self.close_connection = False

        def finish(self):
            super().finish()
            self.connection.close()

        def do_GET(self):
            path = urllib.parse.urlsplit(self.path).path
            about, _, name = path.partition("/o/" if path.startswith("/storage") else "/bucket/")
            file = folder / urllib.parse.unquote(name)
            if not file.is_file():
                return self.answer(404 if name else 200, b"{}")
            content = file.read_bytes()
            if about:
                facts = {"size": str(len(content)), "generation": "1"}
                facts["updated"] = "2026-01-01T00:00:00.000Z"
                return self.answer(200, json.dumps(facts).encode())
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            if first >= len(content):
                return self.answer(416, b"")
            part = content[first : last + 1]
            ranges.append((file.name, first, len(part)))
            self.answer(206, part)

        def answer(self, code, content):
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Nothing in the log of the tests."""

    environment = {
        **{"CURL_CA_BUNDLE": str(certificate), "NO_GCE_CHECK": "true"},
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "test",
    }
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment["https_proxy"] = f"http://127.0.0.1:{server.server_port}"
        yield environment, ranges
        server.shutdown()
