"""Administering channels."""

from collections.abc import Mapping

from flask import Blueprint
from sqlalchemy import Engine

from monitor.channels.interface import Channel
from monitor.clock import Clock
from monitor.outbox.message import Frame
from monitor.vault import Vault


def blueprint(
    engine: Engine,
    vault: Vault,
    clock: Clock,
    of_settings: Mapping[str, Channel],
    frame: Frame,
    allow_internal: bool,
) -> Blueprint:
    """`/admin/channels`.

    `of_settings`: by name, those that the settings switch on; `frame`: for the test message;
    `allow_internal`: whether it may go to addresses that are not public.
    """
    return Blueprint("admin_channels", __name__)
