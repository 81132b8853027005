"""Variables that Kubernetes sets in each container for a Service, as links between containers.

For a Service named `monitor`: MONITOR_SERVICE_HOST, MONITOR_SERVICE_PORT, MONITOR_PORT and
MONITOR_PORT_8000_TCP with their variants. See "Accessing the Service" in the manual of Kubernetes.
"""

import re
from collections.abc import Iterable, Mapping

_NAME = re.compile(
    r"MONITOR(_[A-Z0-9]+)*?_(SERVICE_HOST|SERVICE_PORT_[A-Z0-9_]+"
    r"|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+")


def links(environment: Mapping[str, str], settings: Iterable[str]) -> set[str]:
    """The names of variables that Kubernetes has set, and that are not settings."""
    return {
        name
        for name in environment.keys() - set(settings)
        if name.startswith("MONITOR_") and _is_linked(name, environment)
    }


def _is_linked(name: str, environment: Mapping[str, str]) -> bool:
    if name.endswith("_SERVICE_PORT"):  # could be a misspelt setting, if it were alone
        return name.removesuffix("PORT") + "HOST" in environment
    if name.endswith("_PORT") and is_link(environment[name]):
        return True
    return _NAME.fullmatch(name) is not None


def is_link(value: str) -> bool:
    """Whether a value is an address that Kubernetes gives to a ..._PORT variable."""
    return _ADDRESS.fullmatch(value) is not None


def explained(variable: str, value: str) -> str:
    """The error for a setting that has the name of such a variable."""
    service = variable.removesuffix("_PORT").lower().replace("_", "-")
    return (
        f"{variable}: must be a number, not {value}: Kubernetes sets this variable for a Service "
        f"named {service}; rename the Service, or set enableServiceLinks: false in the pod"
    )
