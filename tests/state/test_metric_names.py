from sqlalchemy import Engine, select

from monitor.model import DAY
from monitor.state import metric_names
from monitor.state.database import reading, writing
from monitor.state.tables import metric

RETENTION = 90 * DAY


def test_names_not_sent_within_the_retention_are_freed(state: Engine) -> None:
    with writing(state) as connection:
        metric_names.note(connection, {"old": 1, "kept": 2}, RETENTION)
        long_ago = metric.c.last_sent_at - RETENTION - 2 * DAY
        connection.execute(metric.update().values(last_sent_at=long_ago))
    with reading(state) as connection:
        assert metric_names.in_use(connection, RETENTION) == {}
    with writing(state) as connection:
        metric_names.note(connection, {"new": 3}, RETENTION)
        assert connection.execute(select(metric.c.name)).scalars().all() == ["new"]


def test_name_keeps_the_sensor_that_added_it(state: Engine) -> None:
    with writing(state) as connection:
        metric_names.note(connection, {"battery": 1}, RETENTION)
        connection.execute(metric.update().values(last_sent_at=metric.c.last_sent_at - 9 * DAY))
        metric_names.note(connection, {"battery": 2}, RETENTION)
    with reading(state) as connection:
        assert metric_names.in_use(connection, DAY) == {"battery": 1}
