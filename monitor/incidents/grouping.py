"""Which incidents are told of together: those of one site; strays alone, until there are many."""

from collections.abc import Collection, Mapping

from monitor.model import format_mac

TOGETHER_FROM = 5
"""So many open incidents without a site are one matter, not that many."""

NO_SITE = "no site"
"""The cohort of sensors without a site that are told of together."""

_SITE, _SENSOR = "site:", "sensor:"


def cohort(mac: int, site: str | None, together: bool) -> str:
    """The key under which an incident of this sensor is told of."""
    if site:
        return _SITE + site
    return NO_SITE if together else _SENSOR + format_mac(mac)


def site_of(cohort_key: str) -> str | None:
    """The site of a site's cohort, None for any other."""
    return cohort_key.removeprefix(_SITE) if cohort_key.startswith(_SITE) else None


def assign(
    opening: Mapping[int, str | None], alone: Collection[int], together: int
) -> dict[int, str]:
    """mac -> cohort for the incidents that open, and for earlier ones that now join others.

    `opening`: mac -> site of each new incident. `alone`: macs without a site that have an open
    incident of their own nobody was told of yet. `together`: how many other incidents without
    a site are open.
    """
    strays = sum(1 for site in opening.values() if not site)
    many = strays > 0 and strays + len(alone) + together >= TOGETHER_FROM
    cohorts = {mac: cohort(mac, site, many) for mac, site in opening.items()}
    if many:
        cohorts.update(dict.fromkeys(alone, NO_SITE))
    return cohorts
