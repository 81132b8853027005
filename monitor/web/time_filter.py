"""Moments on pages: by the service's clocks as sent, by the viewer's once scripts run."""

from datetime import tzinfo

from flask import Flask
from markupsafe import Markup

from monitor.model import format_time
from monitor.outbox.wording import long


def add_to(app: Flask, zone: tzinfo) -> None:
    """Give templates the filter `moment`: ms since the epoch -> a `time` element."""

    @app.template_filter()
    def moment(at: int) -> Markup:
        iso = format_time(at)
        title = f"{iso[:10]} {iso[11:19]} UTC"
        return Markup('<time class="local" datetime="{}" title="{}">{}</time>').format(
            iso, title, long(at, zone)
        )
