"""Both databases for the tests here that need one."""

from tests.states import state, state_url

__all__ = ["state", "state_url"]
