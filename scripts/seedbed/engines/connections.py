"""Connections to endpoints, with their secrets, proxies and certificates."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from seedbed.engines.settings import VARIABLE, OpenAISettings

if TYPE_CHECKING:
    import aiohttp

BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Environment variables that name a file of trusted certificates."""
CONNECT_SECONDS = 30


class Secrets:
    """The headers and query parameters of requests, with their secrets filled in.

    Attributes:
        headers: headers of each request.
        query: query parameters of each address.
    """

    def __init__(self, settings: OpenAISettings) -> None:
        """Read the environment.

        Raises:
            KeyError: if a variable is not set. The error names it.
        """
        known: dict[str, str] = {}
        for name, _ in settings.variables():
            known[name] = os.environ.get(name, "").strip()
            if not known[name]:
                raise KeyError(name)
        self._hidden = sorted(known.values(), key=len, reverse=True)

        def filled(texts: Mapping[str, str]) -> dict[str, str]:
            return {
                name: VARIABLE.sub(lambda found: known[found[1]], text)
                for name, text in texts.items()
            }

        self.headers: dict[str, str] = {}
        if settings.key_variable is not None:
            self.headers["Authorization"] = f"Bearer {known[settings.key_variable]}"
        self.headers |= filled(settings.headers)
        self.query = filled(settings.query)

    def hide(self, text: str) -> str:
        """Return a text with "(key)" in place of the secrets."""
        for secret in self._hidden:
            text = text.replace(secret, "(key)")
        return text


@asynccontextmanager
async def connection(
    settings: OpenAISettings,
    secrets: Secrets,
    certificates: ssl.SSLContext | None,
    json: bool = True,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the connections to an endpoint, and close them.

    Args:
        settings: the endpoint's settings.
        secrets: secrets to send.
        certificates: certificates to trust; None for the system's.
        json: whether request bodies are JSON.
    """
    import aiohttp

    kind = {"Content-Type": "application/json"} if json else {}

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=certificates or True),
        headers=kind | secrets.headers,
        timeout=aiohttp.ClientTimeout(total=settings.timeout, sock_connect=CONNECT_SECONDS),
        proxy=proxy(settings.base_url),
    ) as session:
        yield session


def proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address; clusters often have one.

    aiohttp's `trust_env` looks it up for each request, which takes longer than the rest of the
    request.
    """
    address = urlsplit(url)
    if not address.hostname or proxy_bypass(address.netloc) or _left_out(address.hostname):
        return None
    proxies = getproxies()
    return proxies.get(address.scheme) or proxies.get("all")


def _left_out(host: str) -> bool:
    """Return whether `no_proxy` names a network, e.g. 10.0.0.0/8, that contains a host."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for part in named.split(","):
        try:
            if "/" in part and address in ipaddress.ip_network(part.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def certificates(url: str) -> ssl.SSLContext | None:
    """Return the trusted certificates for an address: the system's, and the files of `BUNDLES`.

    Raises:
        OSError: if a file that the environment names cannot be read.
    """
    if urlsplit(url).scheme != "https":
        return None
    context = ssl.create_default_context()
    for name in BUNDLES:
        file = os.environ.get(name, "")
        if file:
            try:
                if Path(file).is_dir():
                    context.load_verify_locations(capath=file)
                else:
                    context.load_verify_locations(cafile=file)
            except (OSError, ssl.SSLError) as error:
                raise OSError(
                    f"the certificates of {name}={file} cannot be read: {error}"
                ) from None
    return context


def trouble(error: Exception) -> tuple[str, bool, bool]:
    """Describe why a connection failed.

    Args:
        error: error of aiohttp or of the operating system.

    Returns:
        A message, whether the failure is permanent, and whether it lasts long if it is not.
    """
    import aiohttp

    said = f"{type(error).__name__}: {error}"
    if isinstance(error, aiohttp.InvalidURL):
        return f"is not a valid address: {error}", True, False
    if isinstance(error, aiohttp.ClientConnectorSSLError) and "WRONG_VERSION_NUMBER" in said:
        return "speaks http, not https: engine.base_url must begin with http://", True, False
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return (
            f"shows a certificate that is not trusted: {error}. Name a file of trusted "
            f"certificates in the environment variable {BUNDLES[0]} or {BUNDLES[1]}",
            True,
            False,
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"cannot be found: {error}", False, True
    if isinstance(error, ValueError):
        return f"cannot be reached through this proxy or address: {error}", True, False
    return said, False, False
