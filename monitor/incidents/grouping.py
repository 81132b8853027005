"""Which incidents share messages: those of one site, of many sites that fail together, of many
sensors without a site, or of the whole fleet."""

from collections.abc import Mapping

from monitor.model import FLEET, format_mac

TOGETHER_FROM = 5
"""From this many open incidents on, sensors without a site share messages."""

NO_SITE = "no site"
"""The cohort of those sensors."""

MANY_SITES_FROM = 10
"""Outages at this many sites within the same wait likely have one cause, and share messages."""

MANY_SITES = "many sites"
"""The cohort of those outages."""

_SITE, _SENSOR = "site:", "sensor:"
_NEARLY_ALL = 0.95
"""The share of sensors that must be overdue in a fleet-wide outage."""


def cohort(mac: int, site: str | None, together: bool) -> str:
    """The cohort of an incident of this sensor."""
    if site:
        return _SITE + site
    return NO_SITE if together else _SENSOR + format_mac(mac)


def is_alone(cohort_key: str) -> bool:
    """Whether it is the cohort of one sensor without a site."""
    return cohort_key.startswith(_SENSOR)


def has_no_site(cohort_key: str) -> bool:
    """Whether it is a cohort of one or more sensors without a site."""
    return cohort_key == NO_SITE or is_alone(cohort_key)


def is_fleet_wide(overdue: int, watched: int, sites: int) -> bool:
    """Whether almost all sensors are silent, at more than one site.

    `overdue`: how many of the `watched` sensors have been silent for half their threshold.
    """
    return sites > 1 and watched >= TOGETHER_FROM and overdue >= _NEARLY_ALL * watched


def assign(
    opening: Mapping[int, str | None],
    unreported: Mapping[int, str],
    without_site: int,
    fleet_wide: bool,
) -> dict[int, str]:
    """mac -> cohort, for new incidents and for earlier ones that move to another cohort.

    `opening`: mac -> site of each new incident. `unreported`: mac -> cohort of earlier ones that
    no message has reported. `without_site`: number of other open incidents without a site.
    """
    if fleet_wide:
        moving = (mac for mac, key in unreported.items() if key != FLEET)
        return dict.fromkeys([*opening, *moving], FLEET)
    alone = [mac for mac, key in unreported.items() if is_alone(key)]
    new = sum(1 for site in opening.values() if not site)
    together = new > 0 and new + len(alone) + without_site >= TOGETHER_FROM
    cohorts = {mac: cohort(mac, site, together) for mac, site in opening.items()}
    if together:
        cohorts.update(dict.fromkeys(alone, NO_SITE))
    return _merge_many_sites(cohorts, unreported)


def _merge_many_sites(cohorts: dict[int, str], unreported: Mapping[int, str]) -> dict[int, str]:
    every = {**unreported, **cohorts}
    at_sites = {mac: key for mac, key in every.items() if key.startswith(_SITE)}
    merged_before = MANY_SITES in unreported.values()
    if not merged_before and len(set(at_sites.values())) < MANY_SITES_FROM:
        return cohorts
    return cohorts | dict.fromkeys(at_sites, MANY_SITES)
