"""Times on pages: in the service's time zone, or in the viewer's if JavaScript is on."""

import re

from flask import Flask
from markupsafe import Markup

from monitor.model import format_time, parse_time
from monitor.outbox.wording import long
from monitor.web.context import context

_RFC_3339 = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")


def add_to(app: Flask) -> None:
    """Give templates the filters `moment` and `moments`."""
    app.add_template_filter(moment)
    app.add_template_filter(moments)


def moment(at: int) -> Markup:
    """A `time` element for ms since the epoch."""
    iso = format_time(at)
    title = f"{iso[:10]} {iso[11:19]} UTC"
    return Markup('<time class="local" datetime="{}" title="{}">{}</time>').format(
        iso, title, long(at, context().zone)
    )


def moments(text: str) -> Markup:
    """The text with a `time` element for each RFC 3339 time in it."""
    parts = _RFC_3339.split(text)
    return Markup("").join(
        moment(parse_time(part)) if number % 2 else part for number, part in enumerate(parts)
    )
