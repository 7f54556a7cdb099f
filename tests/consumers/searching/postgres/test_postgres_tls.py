"""TLS to PostgreSQL: a real server behind a proxy that speaks TLS for it, because the server of the tests cannot."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.consumers.searching.conftest import PIPELINE, StorePlace
from tools.devservers.certificates import Certificates
from triptych.consumers.searching.index_opening import open_index, open_index_writer
from triptych.consumers.searching.index_store import RowConditions
from triptych.consumers.searching.postgres.postgres_server import PostgresIndexError
from triptych.consumers.searching.rows import IndexRow

_HELLO = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""A client asks for TLS (`SSLRequest`)."""


class TlsProxy:
    """Ends the TLS of clients, and passes what they say on to a server. Clients without TLS are refused."""

    def __init__(self, server: tuple[str, int], certificates: Certificates) -> None:
        self._server = server
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.cert, certificates.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._opened: list[socket.socket] = []
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """End all connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(20)
        for one in self._opened:
            with suppress(OSError):  # the other side has closed it
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(20)

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                self._opened.append(client)
                serving = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(serving)
                serving.start()

    def _serve(self, client: socket.socket) -> None:
        if client.recv(8, socket.MSG_WAITALL) != _HELLO:
            client.shutdown(socket.SHUT_RDWR)
            return
        client.sendall(b"S")
        with suppress(OSError):  # the client does not like the certificate, or either side ends the connection
            with_tls = self._context.wrap_socket(client, server_side=True)
            server = socket.create_connection(self._server)
            self._opened += [with_tls, server]
            back = threading.Thread(target=_pass_on, args=(server, with_tls))
            back.start()
            _pass_on(with_tls, server)
            back.join(20)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until the source ends, then end the target."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """Return a certificate of 127.0.0.1 and its authority."""
    return Certificates.make(tmp_path)


@pytest.fixture
def with_tls(database: StorePlace, certificates: Certificates) -> Iterator[str]:
    """Return the URL of a database that is reached by TLS only, without `sslmode`."""
    server = urlsplit(str(database.location))
    assert server.hostname is not None
    assert server.port is not None
    with closing(TlsProxy((server.hostname, server.port), certificates)) as proxy:
        yield f"postgresql://{server.username}@127.0.0.1:{proxy.port}{server.path}"


def test_an_index_is_written_and_searched_by_tls(
    with_tls: str, database: StorePlace, certificates: Certificates
) -> None:
    """The certificate is verified, and so is the name of the host."""
    url = f"{with_tls}?sslmode=verify-full&sslrootcert={certificates.ca}"
    with open_index_writer(url, PIPELINE, password=database.password) as writer:
        writer.write([IndexRow("w", "subtitles", "r", "city", 1, 2, 3, "the bank")], writer.meta)
    with closing(open_index(url, password=database.password)) as reader:
        assert reader.windows_with_words("bank", RowConditions(), 10) == ["w"]


def test_a_server_of_another_authority_is_refused(
    with_tls: str, database: StorePlace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is an error of the settings: waiting for the server would not help."""
    other = Certificates.make(tmp_path_factory.mktemp("other"))
    with pytest.raises(PostgresIndexError, match="certificate verify failed"):
        open_index(f"{with_tls}?sslmode=verify-full&sslrootcert={other.ca}", password=database.password)


def test_a_certificate_of_another_host_is_refused(
    with_tls: str, database: StorePlace, certificates: Certificates
) -> None:
    """`verify-ca` accepts it, as libpq says."""
    url = with_tls.replace("127.0.0.1", "database.invalid") + f"?hostaddr=127.0.0.1&sslrootcert={certificates.ca}"
    with pytest.raises(PostgresIndexError, match="does not match host name"):
        open_index(f"{url}&sslmode=verify-full", password=database.password)
    with open_index_writer(f"{url}&sslmode=verify-ca", PIPELINE, password=database.password) as writer:
        assert writer.rows() == 0


def test_what_an_authority_lacks_is_told(with_tls: str, database: StorePlace) -> None:
    """A file that does not exist, by its name."""
    with pytest.raises(PostgresIndexError, match=r"nowhere\.pem"):
        open_index(f"{with_tls}?sslmode=verify-full&sslrootcert=/nowhere.pem", password=database.password)
