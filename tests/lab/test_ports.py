"""Ports for what is started beside others."""

import socket

import pytest

from deploy import ports


def test_no_port_is_given_twice_nor_one_that_the_system_gives_by_itself() -> None:
    given = [ports.free_port() for _ in range(50)]
    assert len(set(given)) == 50
    with socket.socket() as anybody:
        anybody.bind(("127.0.0.1", 0))
        assert min(given) >= ports.LOWEST
        assert max(given) < anybody.getsockname()[1]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("where", ["127.0.0.1", "127.0.0.9"])
def test_a_port_that_somebody_holds_is_not_free(
    kind: socket.SocketKind, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = ports.free_port()
    monkeypatch.setattr(ports, "_given", set())
    monkeypatch.setattr(ports, "LOWEST", port)
    monkeypatch.setattr(ports, "_system_begins", lambda: port + 1)
    assert ports.free_port() == port
    monkeypatch.setattr(ports, "_given", set())
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((where, port))
        with pytest.raises(ports.NoPortIsFree, match=f"{port}"):
            ports.free_port()
