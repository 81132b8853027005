"""The fixture `state`, on both databases."""

from tests.states import state, state_url

__all__ = ["state", "state_url"]
