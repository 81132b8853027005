"""HTTP sessions for outgoing requests: all trust the same authorities and use the same proxy."""

import ipaddress
import os
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies
from urllib3.util import make_headers

from monitor.outgoing.trust import http_context

PROXY = "MONITOR_OUTGOING_PROXY"
"""The variable with the value of `outgoing.proxy`. The command line sets it for this process and
its children."""


def proxy_for(url: str) -> str | None:
    """The URL of the proxy for requests to this URL. None: there is none, or it is not for this
    host: NO_PROXY excepts it, or it is the machine itself."""
    parts = urlsplit(url)
    usual = getproxies_environment()
    proxy = os.environ.get(PROXY) or usual.get(parts.scheme) or usual.get("all")
    if not proxy or _is_this_host(parts.hostname or "") or should_bypass_proxies(url, None):
        return None
    return proxy


def _is_this_host(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Adapter(HTTPAdapter):
    """A transport adapter for Requests that trusts the authorities of `http_context`."""

    def build_connection_pool_key_attributes(self, *args: Any, **options: Any) -> Any:
        """As in Requests, with the context."""
        host, pool = super().build_connection_pool_key_attributes(*args, **options)
        if host["scheme"] == "https":
            pool["ssl_context"] = http_context()
        return host, pool

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """As in Requests, with the context for the proxy itself."""
        if proxy.startswith("https:"):
            options["proxy_ssl_context"] = http_context()
        return super().proxy_manager_for(proxy, **options)

    def cert_verify(self, conn: Any, *_: Any) -> None:
        """The context has the authorities; Requests would add its own."""
        conn.cert_reqs = "CERT_REQUIRED"


class Session(requests.Session):
    """A session that ignores .netrc."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.trust_env = False
        for scheme in ("http://", "https://"):
            self.mount(scheme, Adapter())

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As in Requests, through the proxy for this URL."""
        proxy = proxy_for(request.url or "")
        options["proxies"] = {"all": proxy} if proxy else {}
        return super().send(request, **options)


def client_options(url: str) -> dict[str, Any]:
    """The same for influxdb_client, which uses urllib3 itself: arguments for its client."""
    proxy = proxy_for(url)
    login = urllib3.util.parse_url(proxy or "").auth
    return {
        "ssl_context": http_context() if url.startswith("https:") else None,
        "proxy": proxy,
        "proxy_headers": make_headers(proxy_basic_auth=unquote(login)) if login else None,
    }
