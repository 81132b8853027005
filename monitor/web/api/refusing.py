"""What the rooms below refuse, as answers that name the field."""

from collections.abc import Iterator
from contextlib import contextmanager

from monitor.errors import Invalid
from monitor.outbox.catalogue import InUse, Misfit
from monitor.state.channels import NameTaken
from monitor.web.errors import RequestRefused

_FIELDS = {"escalate_after": "escalate_after_seconds"}


@contextmanager
def refusing() -> Iterator[None]:
    """Around a transaction, so that it is rolled back: 400 for what can't be used, 409 for a name
    that is taken, and for what others need."""
    try:
        yield
    except Invalid as error:
        raise RequestRefused(400, str(error), _FIELDS.get(error.field, error.field)) from error
    except Misfit as error:
        raise RequestRefused(400, str(error), error.field) from error
    except NameTaken as error:
        raise RequestRefused(409, str(error), "name") from error
    except InUse as error:
        raise RequestRefused(409, str(error)) from error
