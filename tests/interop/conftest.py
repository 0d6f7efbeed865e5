"""A local server in place of those that publish weights."""

import http.server
import threading

import pytest

from flax_googlenet.interop import download

CONTENT = b"weights"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Serve `server.content` at every path and record the paths in `server.requested`; use an empty cache."""
    requested = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(running.content)))
            self.end_headers()
            self.wfile.write(running.content)

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setattr(download.pooch, "os_cache", lambda _: tmp_path / "cache")
    running.requested, running.content = requested, CONTENT
    yield running
    running.shutdown()
    running.server_close()
