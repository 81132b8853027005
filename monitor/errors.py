"""Why a request can't be carried out, in words for whoever made it."""


class Invalid(ValueError):
    """A value breaks a rule. `field` names it, as the API does; the text continues its name."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class NotFound(Exception):
    """What the request is about does not exist. The text is a sentence without its full stop."""


class Conflict(Exception):
    """The request does not fit the present state. `field` names the part at fault, if one is."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field
