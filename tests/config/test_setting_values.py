from __future__ import annotations

from pathlib import Path

import pytest

from comfywatchman.config import listen_address, workflow_directories
from comfywatchman.config.values import (
    check_host,
    check_host_and_port,
    check_url,
    format_size,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("20MB", 20_000_000),
        ("20 mb/s", 20_000_000),
        ("5GiB", 5 * 2**30),
        ("5G", 5 * 2**30),
        ("1.5KiB", 1536),
        ("2TB", 2_000_000_000_000),
    ],
)
def test_a_size_is_read_with_its_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "5 potatoes", "1e9", "0x10", "\u0661"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


@pytest.mark.parametrize("size", [0, 1, 1000, 1024, 5 * 2**30, 3 * 2**40, 2**30 + 1])
def test_a_size_is_written_so_that_it_is_read_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("127.0.0.1:8189", ("127.0.0.1", 8189)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int] | None) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize("text", [":80", "host", "host:", "host:http", "host:70000", "::1:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        listen_address(text)


@pytest.mark.parametrize(
    "text",
    ["ftp://x", "x", "http://", "http://x/?a=b", "http://x/#a", "http://a:b@x", "http://[x"],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        check_url(text)


@pytest.mark.parametrize("text", ["", "a b", "http://a", "a/b", "a:80", "-a.example", "a..b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        check_host(text)


@pytest.mark.parametrize("text", ["a:x", "a:70000", ":80"])
def test_what_is_no_host_with_a_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        check_host_and_port(text)


def test_workflow_directories_lie_in_the_base_directory_unless_absolute() -> None:
    written = (
        Path("user/default/workflows"),
        Path("/more"),
        Path("user/default/../default/workflows"),
    )

    plain = workflow_directories(written, Path("/c"))
    moved = workflow_directories(written[:1], Path("/c"), Path("/base"))

    assert plain == (Path("/c/user/default/workflows"), Path("/more"))
    assert moved == (Path("/base/user/default/workflows"),)
