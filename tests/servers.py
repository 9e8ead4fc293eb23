"""What the servers of the tests share: a port of this machine, and a thread for each line."""

import socket
import ssl
import threading
from typing import Self

from tests.services import PATIENCE

HANG = "hang"
"""Keeps the connection and says nothing."""


def patience(*scripted: object) -> float:
    """Seconds that a client has for each answer of a server with these answers: nothing but silence
    is to run into a time limit, however slow the machine."""
    return 1.5 if HANG in scripted else PATIENCE


class Server:
    """Listens from the beginning and answers while it is entered; each line goes to `serve`. With
    `tls` a line is encrypted from its first byte."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._tls_at_once = tls
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._closing.set()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                connection.close()

    def serve(self, connection: socket.socket) -> None:
        """Talks until the line is to be closed; an OSError is that its other end is gone."""
        raise NotImplementedError

    def hang(self) -> None:
        """Says nothing for longer than anybody waits."""
        self._closing.wait(PATIENCE)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls_at_once:
                connection = self._tls_at_once.wrap_socket(connection, server_side=True)
            self.serve(connection)
        except OSError:
            pass
        finally:
            connection.close()
