"""The channels that are configured in the settings."""

from monitor.channels.email import Email
from monitor.channels.interface import Channel
from monitor.channels.webhook import Webhook
from monitor.settings import Settings


def email_channel(settings: Settings) -> list[Channel]:
    """The email channel, if it is configured. Raises ValueError."""
    mail = settings.email
    if not mail.server:
        return []
    return [
        Email(
            mail.server,
            mail.port,
            mail.security,
            mail.username,
            mail.password,
            mail.sender,
            mail.recipients,
        )
    ]


def webhook_channel(settings: Settings) -> list[Channel]:
    """The webhook channel, if it is configured. Raises ValueError."""
    hook = settings.webhook
    return [Webhook(hook.url, hook.allow_internal, hook.secret)] if hook.url else []


def own_channels(settings: Settings) -> list[Channel]:
    """All configured channels. Raises ValueError."""
    return email_channel(settings) + webhook_channel(settings)


def channel_names(settings: Settings) -> tuple[str, ...]:
    """The names of `own_channels`, without creating them."""
    configured = {"email": settings.email.server, "webhook": settings.webhook.url}
    return tuple(name for name, value in configured.items() if value)
