from pathlib import Path

import pytest

from monitor.simulator.plan import PlannedHeartbeat
from monitor.simulator.trace import TraceError, measure, replay

GOOD = """\
time,mac_address,speed,battery
2017-03-21T05:00:02Z,02:00:00:00:13:9e,10.7,
2017-03-21T06:00:02.500+01:00,0200.0000.1389,0,99

2017-03-21T05:00:10Z,02-00-00-00-13-9E,,
"""


def written(directory: Path, text: str | bytes) -> Path:
    path = directory / "fleet.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reports_keep_their_offset_from_the_first(tmp_path: Path) -> None:
    assert list(replay(written(tmp_path, GOOD))) == [
        PlannedHeartbeat(0, 0x02000000139E, {"speed": 10.7}),
        PlannedHeartbeat(500, 0x020000001389, {"speed": 0.0, "battery": 99.0}),
        PlannedHeartbeat(8_000, 0x02000000139E, {}),
    ]


def test_speed_shortens_the_offsets(tmp_path: Path) -> None:
    assert [r.moment for r in replay(written(tmp_path, GOOD), speed=10)] == [0, 50, 800]


def test_measure_gives_number_of_reports_and_length(tmp_path: Path) -> None:
    assert measure(written(tmp_path, GOOD)) == (3, 8_000)


def test_file_with_byte_order_mark_and_other_columns_is_read(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path, "\ufeffmac_address,time\r\n020000000000,2017-03-21T05:00:02Z\r\n".encode()
    )
    assert list(replay(path)) == [PlannedHeartbeat(0, 0x020000000000, {})]


HEAD = "time,mac_address,speed\n"
ROW = "2017-03-21T05:00:02Z,02:00:00:00:13:9e,1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: column time: is missing"),
        ("time,mac\n", "line 1: column mac_address: is missing"),
        ("time,mac_address,a,a\n", "line 1: column a: needs a unique name"),
        ("time,mac_address,\n", "line 1: column 3: needs a unique name"),
        (HEAD, "has no reports"),
        (HEAD + ROW + "2017-03-21T05:00:02Z,02:00\n", "line 3: has 2 cells for 3 columns"),
        (HEAD + ROW + ROW.replace("13:9e", "13"), "line 3: column mac_address: .* not a MAC"),
        (HEAD + ROW.replace("Z", ""), "line 2: column time: .* no time zone"),
        (HEAD + ROW.replace("2017", "then"), "line 2: column time: Invalid isoformat"),
        (HEAD + ROW.replace(",1", ",fast"), "line 2: column speed: .*'fast'"),
        (HEAD + ROW.replace(",1", ",nan"), "line 2: column speed: 'nan' is not a finite number"),
        (HEAD + ROW + ROW.replace("05:00", "04:00"), "line 3: column time: is earlier"),
        (HEAD + ROW + '"2017', "line 3: unexpected end of data"),
        (HEAD.encode() + b"\xff\xfe", "line 1: .*utf-8"),
    ],
)
def test_error_names_line_and_column(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(TraceError, match=f"fleet.csv.*{message}"):
        measure(written(tmp_path, text))


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        measure(tmp_path / "none.csv")
