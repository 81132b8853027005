"""All pages of the administration but those of people."""

from collections.abc import Mapping

from flask import Blueprint
from sqlalchemy import Engine

from monitor.channels.interface import Channel
from monitor.clock import Clock
from monitor.outbox.message import Frame
from monitor.vault import Vault
from monitor.web.admin import (
    channels,
    maintenance,
    public,
    routes,
    sensors,
    silences,
    tokens,
)


def blueprints(
    engine: Engine,
    vault: Vault,
    clock: Clock,
    of_settings: Mapping[str, Channel],
    frame: Frame,
    allow_internal: bool,
) -> list[Blueprint]:
    """`of_settings`: by name, the channels that the settings switch on; `frame`: for test
    messages, and its zone for moments; `allow_internal`: whether those may go to addresses that
    are not public."""
    return [
        channels.blueprint(engine, vault, clock, of_settings, frame, allow_internal),
        maintenance.blueprint(engine, clock, frame.zone),
        public.blueprint(engine, clock, frame.base_url),
        routes.blueprint(engine, of_settings.keys()),
        sensors.blueprint(engine),
        silences.blueprint(engine, clock, frame.zone),
        tokens.blueprint(engine, clock),
    ]
