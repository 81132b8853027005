"""Errors whose text is written for people: pages, API and commands show it as it is."""


class MonitorError(Exception):
    """An operation failed. The text explains why; `field` names the part of the request at fault,
    if there is one."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class Invalid(ValueError):
    """A value breaks a rule. `field` names it, as the API does; the text continues its name."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class NotFound(MonitorError):
    """What the request is about does not exist. The text is a sentence without its full stop."""


class Conflict(MonitorError):
    """The request does not fit the present state."""


class StateUnavailable(MonitorError):
    """The state database can't be reached, is locked or is damaged. The cause is attached."""
