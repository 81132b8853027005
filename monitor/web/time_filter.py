"""Moments on pages: in the service's time zone, or in the viewer's if JavaScript is on."""

import re
from datetime import tzinfo

from flask import Flask
from markupsafe import Markup

from monitor.model import format_time, parse_time
from monitor.outbox.wording import long

_RFC_3339 = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")


def add_to(app: Flask, zone: tzinfo) -> None:
    """Gives templates two filters: `moment` makes a `time` element of ms since the epoch, and
    `moments` does so for each RFC 3339 time within a text."""

    @app.template_filter()
    def moment(at: int) -> Markup:
        iso = format_time(at)
        title = f"{iso[:10]} {iso[11:19]} UTC"
        return Markup('<time class="local" datetime="{}" title="{}">{}</time>').format(
            iso, title, long(at, zone)
        )

    @app.template_filter()
    def moments(text: str) -> Markup:
        parts = _RFC_3339.split(text)
        return Markup("").join(
            moment(parse_time(part)) if number % 2 else part for number, part in enumerate(parts)
        )
