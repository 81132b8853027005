"""Settings that are valid, and can't work together as the reader of the settings expects."""

from urllib.parse import urlsplit

from monitor.settings.sections import LOOPBACK, ServerSettings, Settings


def warnings(settings: Settings) -> list[str]:
    """One sentence for each warning; it starts with the name of the setting to change."""
    server = settings.server
    address = urlsplit(server.base_url)
    found = []
    if not server.proxies and _needs_proxy(server):
        without = " without TLS" if address.scheme == "https" else ""
        found.append(
            f"server.proxies: browsers can reach {server.base_url} only through a proxy, because "
            f"the service listens on {server.listens_on}{without}; set it to the number of proxies"
        )
    if address.hostname in LOOPBACK and (server.proxies or not server.on_loopback):
        found.append(
            f"server.base_url: links in messages lead to {server.base_url}, which opens on this "
            "machine only; set it to the URL that browsers use"
        )
    return found


def _needs_proxy(server: ServerSettings) -> bool:
    """Whether something else must listen at `base_url`."""
    address = urlsplit(server.base_url)
    other_host = server.on_loopback and address.hostname not in LOOPBACK
    return other_host or (address.scheme == "https" and not server.certificate)
