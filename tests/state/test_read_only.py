"""A state that can be read and not written."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from monitor.errors import StateUnavailable
from monitor.state.database import writing
from tests.states import new_state


def test_read_only_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    new_state(path).dispose()
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(StateUnavailable) as caught, writing(engine) as connection:
        connection.execute(text("DELETE FROM alert_group"))
    assert f"can't write to file:{path}: let the user who runs `monitor` write to" in str(
        caught.value
    )
    engine.dispose()
