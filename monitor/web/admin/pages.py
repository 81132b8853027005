"""All pages of the administration but those of people."""

from flask import Blueprint

from monitor.services.channels import ChannelService
from monitor.services.covered import Covered
from monitor.web.admin import channels, maintenance, public_pages, routes, silences, tokens
from monitor.web.sensors import table


def blueprints(keeping: ChannelService) -> list[Blueprint]:
    """`keeping`: what they are about; its frame's zone is that of moments within texts."""
    engine, clock, frame = keeping.engine, keeping.clock, keeping.frame
    covered = Covered(engine)
    return [
        channels.blueprint(keeping),
        maintenance.blueprint(engine, clock, frame.zone, covered),
        public_pages.blueprint(engine, clock, frame.base_url),
        routes.blueprint(engine, keeping.of_settings.keys()),
        table.blueprint(engine),
        silences.blueprint(engine, clock, frame.zone, covered),
        tokens.blueprint(engine, clock),
    ]
