"""An HTTP proxy on a loopback port that connects to servers on this host, whatever their name."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """What the proxy was asked for."""

    url: str = ""
    requests: list[str] = field(default_factory=list)
    """Such as `CONNECT example.org:443`."""
    logins: list[str] = field(default_factory=list)


@contextmanager
def proxy() -> Iterator[Proxy]:
    """A running proxy."""
    state = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def _passed(self) -> None:
            state.requests.append(f"{self.command} {self.path}")
            state.logins.append(self.headers.get("Proxy-Authorization", ""))
            tunnel = self.command == "CONNECT"
            address = urlsplit(f"//{self.path}" if tunnel else self.path)
            with socket.create_connection(("127.0.0.1", address.port or 80)) as server:
                if tunnel:
                    self.send_response(200)
                    self.end_headers()
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    head = f"{self.command} {address.path} HTTP/1.1\r\n{self.headers}"
                    server.sendall(head.encode() + body)
                back = threading.Thread(target=_copy, args=(server, self.connection))
                back.start()
                if tunnel:
                    _copy(self.connection, server)
                back.join()
            self.close_connection = True

        do_CONNECT = do_GET = do_POST = _passed  # noqa: N815 as the base class wants

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
