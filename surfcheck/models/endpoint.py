"""Where a hosted model is reached over HTTP, with which key, and for which price.

Reads what the spec and the environment say of it; sends nothing. A key is read when it is needed
and kept nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from surfcheck.errors import UsageError
from surfcheck.models.spec import Reader, Spec, number


def flag(text: str) -> bool:
    """Reads whether something is wanted."""
    if text not in ("true", "false"):
        raise ValueError("true or false")
    return text == "true"


READERS: dict[str, Reader] = {
    "base_url": str,
    "timeout": number(0.001),
    "usd_in": number(0),
    "usd_out": number(0),
}
"""What every provider behind a URL takes beside its sampling parameters."""


class Vendor(NamedTuple):
    """Whose API it is."""

    url: str
    """The vendor's own base URL."""
    domain: str
    """Every host of the vendor's ends in this."""
    url_variable: str
    """The environment variable that may give another base URL."""
    key_variable: str
    """The environment variable that holds the key."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One base URL of one provider."""

    vendor: Vendor
    """Whose API is spoken there."""
    url: str
    """Scheme, host, port and path; nothing that could hold a secret."""
    host: str
    """Host and, where one is given, port: how messages name it."""
    own: bool
    """Whether the server is the vendor's, which answers nothing without a key."""

    @classmethod
    def of(cls, spec: Spec, vendor: Vendor) -> Endpoint:
        """What base_url says, else the environment, else the vendor. Raises UsageError."""
        name = f"{spec.provider}:{spec.name}"
        if any("key" in parameter.lower() for parameter in spec.parameters):
            raise UsageError(
                f"{name}: reports show a spec, so no key goes into it: export {vendor.key_variable}"
            )
        if text := spec.parameters.get("base_url"):
            where = f"{name}: base_url"
        elif text := os.environ.get(vendor.url_variable, ""):
            where = vendor.url_variable
        else:
            where, text = "", vendor.url
        parts = _read_url(where, text)
        hostname = parts.hostname or ""
        return cls(
            vendor,
            url=parts._replace(netloc=parts.netloc.lower()).geturl().rstrip("/"),
            host=parts.netloc.lower(),
            own=hostname == vendor.domain or hostname.endswith(f".{vendor.domain}"),
        )

    def key(self) -> str:
        """The key, or a word in its place where any will do. Raises UsageError."""
        variable = self.vendor.key_variable
        key = os.environ.get(variable, "").strip()
        if not key and self.own:
            raise UsageError(f"{variable} is not set and {self.host} wants a key: export it first")
        if not (key.isascii() and key.isprintable()):
            raise UsageError(f"{variable} holds characters that no key has: set it again")
        return key or "none"


def _read_url(where: str, text: str) -> SplitResult:
    """The URL's parts; no message repeats it, because it may hold a password."""
    wanted = "give an address such as http://localhost:8000/v1"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise UsageError(f"{where} can't be read as a URL: {wanted}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{where} is no http or https URL: {wanted}")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            f"{where} has a user, a password or a query in it, which would end up in reports: "
            f"{wanted} and put the key into the provider's environment variable"
        )
    return parts


def read_price(spec: Spec, given: Mapping[str, Any]) -> tuple[float, float] | None:
    """Dollars for a million tokens in and out. Raises UsageError if only one is given."""
    found = [given[name] for name in ("usd_in", "usd_out") if name in given]
    if len(found) == 1:
        raise UsageError(f"{spec}: usd_in and usd_out go together: give both or neither")
    return (found[0], found[1]) if found else None
