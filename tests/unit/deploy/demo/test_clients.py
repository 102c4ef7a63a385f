"""The shop's clients."""

import socket
import threading

from deploy.demo.clients import Clients
from deploy.demo.doings import Doing
from schemas.codecs import Codecs


def test_a_flush_ends_when_the_clients_are_closed_in_its_middle() -> None:
    """Ctrl-C: the process would wait for the flush's thread for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        clients = Clients(gateway=f"http://{address}", write_key="k", kafka=address, codecs=Codecs(str), partitions=1)
        clients._web.join()  # nobody sends any more
        clients.send(Doing(1_000, "web", "page", "Home", {"anonymous_id": "b-1"}, {}, {}, {}))
        flush = threading.Thread(target=clients._web.flush, daemon=True)
        flush.start()
        clients.close()
        flush.join(5.0)
        assert not flush.is_alive()
