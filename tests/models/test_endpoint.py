"""Where hosted models are reached, and with which key."""

from __future__ import annotations

import pytest

from surfcheck.errors import UsageError
from surfcheck.models.endpoint import Endpoint, Vendor, flag, read_price
from surfcheck.models.spec import parse_spec

VENDOR = Vendor("https://api.vendor.com/v1", "vendor.com", "VENDOR_URL", "VENDOR_KEY")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variable is set."""
    monkeypatch.delenv("VENDOR_URL", raising=False)
    monkeypatch.delenv("VENDOR_KEY", raising=False)


def endpoint(base_url: str = "") -> Endpoint:
    query = f"?base_url={base_url}" if base_url else ""
    return Endpoint.of(parse_spec(f"vendor:model-1{query}"), VENDOR)


def test_the_vendor_is_the_default() -> None:
    assert endpoint() == Endpoint(VENDOR, "https://api.vendor.com/v1", "api.vendor.com", own=True)


def test_the_environment_may_say_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDOR_URL", "https://gateway.example/v1")
    assert endpoint().url == "https://gateway.example/v1"
    assert endpoint("http://localhost:8000/v1").url == "http://localhost:8000/v1"
    monkeypatch.setenv("VENDOR_URL", "gateway.example")
    with pytest.raises(UsageError, match=r"^VENDOR_URL is no http"):
        endpoint()


def test_one_address_is_written_in_one_way() -> None:
    found = endpoint("HTTP://LOCALHOST:8000/V1/")
    assert (found.url, found.host) == ("http://localhost:8000/V1", "localhost:8000")


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://eu.api.vendor.com/v1", True),
        ("http://vendor.com:8080", True),
        ("https://vendor.com.example/v1", False),
        ("https://notvendor.com/v1", False),
        ("http://[::1]:8000/v1", False),
    ],
)
def test_whose_server_it_is(url: str, own: bool) -> None:
    assert endpoint(url).own is own


def test_the_vendor_wants_a_key_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"VENDOR_KEY is not set.*export it"):
        endpoint().key()
    assert endpoint("http://localhost/v1").key() == "none"
    monkeypatch.setenv("VENDOR_KEY", " k-1\n")
    assert endpoint().key() == "k-1"
    assert endpoint("http://localhost/v1").key() == "k-1"


@pytest.mark.parametrize("key", ["schlüssel", "schl\nuessel"])
def test_what_can_not_be_a_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("VENDOR_KEY", key)
    with pytest.raises(UsageError, match="VENDOR_KEY") as caught:
        endpoint().key()
    assert "schl" not in str(caught.value)


def test_a_key_in_a_spec_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="export VENDOR_KEY") as caught:
        Endpoint.of(parse_spec("vendor:model-1?api_key=secret"), VENDOR)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://host/v1",
        "http://",
        "http://host:99999/v1",
        "http://me:secret@host/v1",
        "http://host/v1%3Fkey=secret",
        "http://host/v1#secret",
        "http://[secret/v1",
    ],
)
def test_a_base_url_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match=r"^vendor:model-1: base_url .*http://localhost") as caught:
        endpoint(url)
    assert "secret" not in str(caught.value)


def test_prices_go_together() -> None:
    spec = parse_spec("vendor:model-1")
    assert read_price(spec, {}) is None
    assert read_price(spec, {"usd_in": 0.0, "usd_out": 6.0}) == (0.0, 6.0)
    with pytest.raises(UsageError, match="usd_in and usd_out"):
        read_price(spec, {"usd_out": 6.0})


def test_flags() -> None:
    assert [flag("true"), flag("false")] == [True, False]
    with pytest.raises(ValueError, match="true or false"):
        flag("yes")
