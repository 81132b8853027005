"""Which incidents share a message: those of one site, or of many sites that fail at once; sensors
without a site if there are many; all incidents if the whole fleet is silent."""

from collections.abc import Mapping

from monitor.model import FLEET, format_mac

TOGETHER_FROM = 5
"""So many open incidents without a site are one matter, not that many."""

NO_SITE = "no site"
"""The cohort of sensors without a site that share messages."""

MANY_SITES_FROM = 10
"""Outages that begin at so many sites within the same wait have one cause, not that many."""

MANY_SITES = "many sites"
"""The cohort of those."""

_SITE, _SENSOR = "site:", "sensor:"
_NEARLY_ALL = 0.95


def cohort(mac: int, site: str | None, together: bool) -> str:
    """The cohort of an incident of this sensor."""
    if site:
        return _SITE + site
    return NO_SITE if together else _SENSOR + format_mac(mac)


def is_alone(cohort_key: str) -> bool:
    """Whether it is the cohort of one sensor without a site."""
    return cohort_key.startswith(_SENSOR)


def is_stray(cohort_key: str) -> bool:
    """Whether it is a cohort of sensors without a site."""
    return cohort_key == NO_SITE or is_alone(cohort_key)


def is_fleet_wide(overdue: int, watched: int, sites: int) -> bool:
    """Whether almost all sensors are silent, at more than one site.

    `overdue`: how many of the `watched` sensors have not been heard for half their threshold.
    """
    return sites > 1 and watched >= TOGETHER_FROM and overdue >= _NEARLY_ALL * watched


def assign(
    opening: Mapping[int, str | None], untold: Mapping[int, str], together: int, fleet_wide: bool
) -> dict[int, str]:
    """mac -> cohort for the incidents that open, and for earlier ones that now join others.

    `opening`: mac -> site of each new incident. `untold`: mac -> cohort of earlier ones that
    no message has reported. `together`: how many incidents without a site are open besides these.
    """
    if fleet_wide:
        joining = (mac for mac, key in untold.items() if key != FLEET)
        return dict.fromkeys([*opening, *joining], FLEET)
    alone = [mac for mac, key in untold.items() if is_alone(key)]
    strays = sum(1 for site in opening.values() if not site)
    many = strays > 0 and strays + len(alone) + together >= TOGETHER_FROM
    cohorts = {mac: cohort(mac, site, many) for mac, site in opening.items()}
    if many:
        cohorts.update(dict.fromkeys(alone, NO_SITE))
    return _many_sites_as_one(cohorts, untold)


def _many_sites_as_one(cohorts: dict[int, str], untold: Mapping[int, str]) -> dict[int, str]:
    at_sites = {mac: key for mac, key in {**untold, **cohorts}.items() if key.startswith(_SITE)}
    gathering = MANY_SITES in untold.values()
    if not gathering and len(set(at_sites.values())) < MANY_SITES_FROM:
        return cohorts
    return cohorts | dict.fromkeys(at_sites, MANY_SITES)
