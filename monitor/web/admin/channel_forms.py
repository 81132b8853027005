"""The forms of channels: made from the fields of their kinds, and read from requests."""

from typing import Any, NamedTuple

from flask import request

from monitor.channels import kinds
from monitor.errors import Invalid
from monitor.outbox import catalogue
from monitor.outbox.catalogue import Field
from monitor.state.channels import BROWSER, Stored
from monitor.web import forms

_WORDS = {
    "budget": "Daily message limit",
    "access_key_id": "Access key ID",
    "account_sid": "Account SID",
    "chat_id": "Chat ID",
    "sender_id": "Sender ID",
    "url": "URL",
    "urls": "URLs",
    "webhook_id": "Webhook ID",
    "workflow_url": "Workflow URL",
}


class Input(NamedTuple):
    """One field of a form."""

    field: Field
    title: str
    value: str
    """Always empty for a secret."""
    is_set: bool = False
    """Whether a secret is set."""


class Use(NamedTuple):
    """The fields that channels of all kinds have."""

    enabled: bool
    is_default: bool
    budget: str


class Form(NamedTuple):
    """The fields of one channel."""

    settings: list[Input]
    secrets: list[Input]
    use: Use


def title(field: str) -> str:
    """The title of a field: `settings.chat_id` is "Chat ID"."""
    name = field.rpartition(".")[2]
    return _WORDS.get(name, name.replace("_", " ").capitalize())


def empty(kind: str) -> Form:
    """The form for a new channel, with the values that were sent, if any."""
    settings, secrets = catalogue.fields(kind)
    return Form(
        [_input(each, request.form.get(_setting(each), each.default)) for each in settings],
        [_input(each, "") for each in secrets],
        _use(Use(True, False, catalogue.as_typed(catalogue.default_budget(kind)))),
    )


def of(channel: Stored, typed: bool) -> Form:
    """The form of a channel; with the values that were sent, if this form was (`typed`)."""
    use = Use(channel.enabled, channel.is_default, catalogue.as_typed(channel.budget))
    use = _use(use) if typed else use
    if channel.kind == BROWSER or channel.kind not in kinds.KINDS:
        return Form([], [], use)
    settings, secrets = catalogue.fields(channel.kind)
    shown = catalogue.shown_secrets(channel)

    def value(field: Field) -> str:
        kept = catalogue.as_typed(channel.settings.get(field.name, field.default))
        return request.form.get(_setting(field), kept) if typed else kept

    return Form(
        [_input(each, value(each)) for each in settings],
        [_input(each, "", shown.get(each.name) == "set") for each in secrets],
        use,
    )


def read(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(settings, secrets) as `catalogue.patched` takes them. None removes one; a secret that was
    left empty is absent. Raises Invalid."""
    if kind not in kinds.KINDS:
        raise Invalid("kind", "must be one of the options")
    settings, secrets = catalogue.fields(kind)
    texts = {each.name: forms.typed(_setting(each)).strip() for each in settings}
    typed = {each.name: forms.typed(_secret(each)) for each in secrets}
    changed: dict[str, Any] = {name: text for name, text in typed.items() if text}
    for each in secrets:
        if not typed[each.name] and forms.typed(f"drop.{each.name}") == "yes":
            changed[each.name] = None
    return catalogue.from_texts(kind, texts), changed


def read_use() -> dict[str, Any]:
    """`enabled`, `is_default` and `budget`. Raises Invalid."""
    text = forms.typed("budget").strip()
    if text and not (text.isdecimal() and text.isascii() and 1 <= len(text) <= 7 and int(text)):
        raise Invalid("budget", "must be a whole number from 1 to 9,999,999, or empty")
    return {
        "enabled": forms.typed("enabled") == "yes",
        "is_default": forms.typed("is_default") == "yes",
        "budget": int(text) if text else None,
    }


def _use(otherwise: Use) -> Use:
    """The values that were sent, or else `otherwise`."""
    form = request.form
    if "budget" not in form:
        return otherwise
    return Use("enabled" in form, "is_default" in form, form["budget"])


def _input(field: Field, value: str, is_set: bool = False) -> Input:
    return Input(field, title(field.name), value, is_set)


def _setting(field: Field) -> str:
    return f"settings.{field.name}"


def _secret(field: Field) -> str:
    return f"secrets.{field.name}"
