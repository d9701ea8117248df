"""Where to listen."""

from __future__ import annotations

import errno

import pytest

from skep.agent import address
from skep.errors import KernelError, NotFoundError, RangeError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9091", ("127.0.0.1", 9091)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:80", ("::1", 80)),
        ("9091", ("127.0.0.1", 9091)),
        (":9091", ("127.0.0.1", 9091)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
    ],
)
def test_forms(text: str, expected: tuple[str, int]) -> None:
    assert address.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "127.0.0.1", "127.0.0.1:", "a:65536", "a:-1", "::1:80", "a:1x", "a:²"]
)
def test_nonsense(text: str) -> None:
    with pytest.raises(RangeError, match="is not HOST:PORT"):
        address.parse(text)


def test_a_port_in_use_is_one_sentence() -> None:
    with address.listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(KernelError) as caught:
            address.listen("127.0.0.1", port)
    assert caught.value.errno == errno.EADDRINUSE
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: the port is in use "
        "(choose another with --listen, or stop the other program)"
    )


def test_an_address_of_another_machine() -> None:
    with pytest.raises(KernelError, match="no interface of this machine has that address"):
        address.listen("192.0.2.1", 0)  # RFC 5737: documentation only


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(NotFoundError, match="there is no address called no"):
        address.listen("no.such.host.invalid", 0)


def test_loopback() -> None:
    assert address.is_loopback("127.3.4.5")
    assert address.is_loopback("::1")
    assert not address.is_loopback("0.0.0.0")
    assert address.show("::1", 9) == "[::1]:9"
