"""A server of files on this machine that cuts, stalls, refuses and resumes as it is told."""

import http.server
import pathlib
import re
import threading
import time


class Server(http.server.ThreadingHTTPServer):
    """Serves one body under any path, or the files of a folder under paths that end in their names.

    `script` says how to answer the next requests; `log` holds the headers that came, `paths` the
    paths.
    """

    def __init__(self, body=b"", folder=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.folder = body, folder and pathlib.Path(folder)
        self.etag, self.ranges, self.length = '"one"', True, True
        self.script, self.log, self.paths, self.gate = [], [], [], threading.Event()
        self.root = f"http://127.0.0.1:{self.server_port}"
        self.url = f"{self.root}/weights.h5"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that was killed or waits no longer is no error of the test."""

    def close(self):
        self.gate.set()
        self.shutdown()
        self.server_close()

    def asked(self):
        return [headers["Range"] for headers in self.log]

    def find(self, path):
        """Returns the body of a path, or `None`."""
        if self.folder is None:
            return self.body
        file = self.folder / pathlib.PurePosixPath(path).name
        return file.read_bytes() if file.is_file() else None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.log.append(self.headers)
        server.paths.append(self.path)
        body = server.find(self.path)
        answer = 404 if body is None else server.script.pop(0) if server.script else "whole"
        if answer in ("silent", "reset"):
            server.gate.wait(20 if answer == "silent" else 0)
            return
        status, headers = 200, {"ETag": server.etag}
        half = len(body or b"") // 2
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if start and server.ranges and body is not None:
            start, end = int(start[1]), len(body)
            status, body = (206, body[start:]) if start < end else (416, b"")
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{end}"
        if isinstance(answer, int):
            status, body, headers["Location"] = answer, b"bad", "/elsewhere"
        headers["Content-Length"] = len(body) if server.length else None
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        step = half // 10 or 1
        for start in range(0, len(body), step):
            if start >= half and answer == "cut":
                return
            server.gate.wait(20 if start >= half and answer == "hang" else 0)
            time.sleep(0.05 if answer == "slow" else 0)
            self.wfile.write(body[start : start + step])

    def log_message(self, *args):
        pass
