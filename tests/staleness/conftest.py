"""Both databases for every test here."""

from tests.states import state, state_url

__all__ = ["state", "state_url"]
