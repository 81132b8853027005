"""Which incidents are listed, by the parameters of the page."""

from typing import NamedTuple, Self
from urllib.parse import urlencode

from flask import request
from sqlalchemy import Connection

from monitor.model import DAY, IncidentView
from monitor.state import ledger

STATES = {"open": "Open", "past": "Closed", "all": "All"}
SINCE = {
    "": "Any",
    "1": "Last 24 hours",
    "7": "Last 7 days",
    "30": "Last 30 days",
    "90": "Last 90 days",
}
"""Days: incidents that are open, or ended within them."""
KNOWN = {"": "Any", "no": "Not acknowledged", "yes": "Acknowledged"}


class IncidentFilters(NamedTuple):
    """The parameters of the page, as text."""

    state: str = "open"
    q: str = ""
    site: str = ""
    known: str = ""
    since: str = ""

    @classmethod
    def read(cls) -> Self:
        """The filters in this request's address or form; invalid ones have their default."""
        given = {
            name: request.values.get(name, "").strip().replace("\0", "") for name in cls._fields
        }
        allowed = {"state": STATES, "known": KNOWN, "since": SINCE}
        return cls(
            **{
                name: text if text in allowed.get(name, {text}) else cls._field_defaults[name]
                for name, text in given.items()
            }
        )

    def address(self, **others: object) -> str:
        """A link to the list with these filters."""
        given = {name: text for name, text in self._asdict().items() if text} | others
        given = {name: value for name, value in given.items() if (name, value) != ("state", "open")}
        return "/incidents" + (f"?{urlencode(given)}" if given else "")

    def cases(
        self, connection: Connection, limit: int, now: int, before: int | None = None
    ) -> list[IncidentView]:
        """The incidents that match, the newest first."""
        return ledger.cases(
            connection,
            limit,
            site=self.site or None,
            still_open=None if self.state == "all" else self.state == "open",
            since=now - int(self.since) * DAY if self.since else None,
            acknowledged=None if not self.known else self.known == "yes",
            before=before,
            text=self.q,
        )
