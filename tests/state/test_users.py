"""Users, logins, login throttling and the audit trail."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select

from monitor.errors import Invalid
from monitor.model import DAY, HOUR, MINUTE, SECOND
from monitor.state import audit, logins, throttle, users
from monitor.state.access_tables import login, login_failure
from monitor.state.database import reading, writing
from monitor.state.users import LastAdministrator

NOW = 1_800_000_000_000
ANNA = throttle.at(throttle.name("anna"), throttle.address("192.0.2.7"))


def added(state: Engine, name: str, role: str = "viewer", **values: str) -> int:
    with writing(state) as connection:
        return users.add(connection, name, role, NOW, **values)


def test_user_is_found_by_name_or_email_in_any_case(state: Engine) -> None:
    with reading(state) as connection:
        assert not users.exist(connection)
    number = added(state, "Zoë Straße", "operator", email="Zoe@Example.org")
    with reading(state) as connection:
        assert users.exist(connection)
        for text in ("Zoë Straße", "ZOË STRASSE", " zoe\u0308 straße ", "zoe@example.ORG"):
            found = users.find(connection, text)
            assert found is not None, text
            assert (found.id, found.name, found.email) == (number, "Zoë Straße", "zoe@example.org")
        for text in ("", "Zoë", "a\0b", "x@example.org", "\ud800"):
            assert users.find(connection, text) is None


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": "ANNA"}),
        ("name", {"name": ""}),
        ("name", {"name": " b"}),
        ("name", {"name": "b@c"}),
        ("name", {"name": "b\n"}),
        ("name", {"name": "b" * 81}),
        ("name", {"name": "Command Line"}),
        ("email", {"email": "ANNA@example.org"}),
        ("email", {"email": "somewhere"}),
        ("email", {"email": "a b@example.org"}),
        ("role", {"role": "king"}),
        ("role", {"role": "ingest"}),
        ("subject", {"subject": "https://id.example.org 1"}),
    ],
)
def test_used_or_invalid_value_is_refused_and_the_field_named(
    state: Engine, field: str, values: dict[str, str]
) -> None:
    added(state, "Anna", email="anna@example.org", subject="https://id.example.org 1")
    with pytest.raises(Invalid) as refused:
        added(state, **{"name": "Bert", **values})
    assert refused.value.field == field


def test_last_administrator_cannot_be_removed_or_demoted(state: Engine) -> None:
    anna, bert = added(state, "Anna", "administrator"), added(state, "Bert")
    for values in ({"role": "operator"}, {"active": False}):
        with pytest.raises(LastAdministrator), writing(state) as connection:
            users.change(connection, anna, **values)
    with writing(state) as connection:
        users.change(connection, bert, role="administrator")
        users.change(connection, anna, active=False)
        assert [(user.name, user.active) for user in users.listed(connection)] == [
            ("Bert", True),
            ("Anna", False),
        ]


def test_two_administrators_cannot_remove_each_other_at_once(state: Engine) -> None:
    numbers = [added(state, name, "administrator") for name in ("Anna", "Bert")]

    def dismiss(number: int) -> bool:
        try:
            with writing(state) as connection:
                users.change(connection, number, role="viewer")
        except LastAdministrator:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(dismiss, numbers)) == [False, True]


def test_login_ends_when_idle_after_two_weeks_and_on_logout(state: Engine) -> None:
    anna = added(state, "Anna", "operator")

    def start_login() -> str:
        with writing(state) as connection:
            return logins.start(connection, anna, NOW)

    def found(secret: str, now: int) -> logins.Login | None:
        with reading(state) as connection:
            return logins.find(connection, secret, now)

    secret, other = start_login(), start_login()
    assert found(secret, NOW) == logins.Login(anna, "Anna", "operator", False)
    assert found(secret, NOW + logins.NOTED_EVERY) == logins.Login(anna, "Anna", "operator", True)
    assert found(secret[:-1], NOW) is None
    assert found("", NOW) is None
    assert found(secret, NOW + logins.IDLE) is None
    for day in range(1, 15):
        with writing(state) as connection:
            logins.note(connection, secret, NOW + day * (DAY - 1))
    assert found(secret, NOW + logins.LONGEST - 1) is not None
    assert found(secret, NOW + logins.LONGEST) is None
    with writing(state) as connection:
        logins.end(connection, secret)
    assert found(secret, NOW) is None
    assert found(other, NOW) is not None
    with writing(state) as connection:
        assert logins.end_all(connection, anna) == 1
    assert found(other, NOW) is None


def test_disabled_user_is_logged_out(state: Engine) -> None:
    added(state, "Bert", "administrator")
    anna = added(state, "Anna")
    with writing(state) as connection:
        secret = logins.start(connection, anna, NOW)
        users.change(connection, anna, active=False)
        assert logins.find(connection, secret, NOW) is None


def test_login_secret_is_not_stored_and_old_logins_are_deleted(state: Engine) -> None:
    anna = added(state, "Anna")
    with writing(state) as connection:
        secret = logins.start(connection, anna, NOW)
        assert secret not in repr(connection.execute(select(login)).all())
        logins.start(connection, anna, NOW + logins.IDLE)
        assert connection.scalar(select(func.count()).select_from(login)) == 1


def tried(state: Engine, guarded: list[throttle.Guarded], now: int) -> int:
    with writing(state) as connection:
        return throttle.begin(connection, guarded, now)


def test_wait_doubles_with_each_failure_up_to_a_limit() -> None:
    waits = [ANNA.wait(failures) // SECOND for failures in range(14)]
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    waits = [throttle.user(1).wait(failures) // SECOND for failures in range(29, 38)]
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_wait_starts_after_three_failures_and_ends_with_success_or_after_an_hour(
    state: Engine,
) -> None:
    for _ in range(3):
        assert tried(state, [ANNA], NOW) == 0
    assert tried(state, [ANNA], NOW) == SECOND
    assert tried(state, [ANNA], NOW + SECOND) == 0
    assert tried(state, [ANNA], NOW + SECOND) == 2 * SECOND
    assert tried(state, [throttle.device("bert")], NOW) == 0
    with writing(state) as connection:
        throttle.succeeded(connection, ANNA)
    assert tried(state, [ANNA], NOW + SECOND) == 0
    for minutes in range(5, 60, 5):
        assert tried(state, [ANNA], NOW + minutes * MINUTE) == 0
    later = NOW + 55 * MINUTE + HOUR
    assert [tried(state, [ANNA], later) for _ in range(4)] == [0, 0, 0, SECOND]


def test_failures_of_one_ip_address_count_across_accounts(state: Engine) -> None:
    here = throttle.address("192.0.2.7")
    waits = [tried(state, [throttle.name(f"{n}"), here], NOW) for n in range(11)]
    assert waits == [0] * 10 + [SECOND]
    assert tried(state, [throttle.name("11")], NOW) == 0
    with writing(state) as connection:
        throttle.succeeded(connection, throttle.name("9"), [here])
    assert tried(state, [here], NOW) == 0
    assert tried(state, [here], NOW) == SECOND


def test_concurrent_attempts_are_counted_one_by_one(state: Engine) -> None:
    guarded = [ANNA, throttle.address("192.0.2.7")]
    with ThreadPoolExecutor(4) as pool:
        waits = list(pool.map(lambda _: tried(state, guarded, NOW), range(12)))
    assert sorted(waits) == [0] * 3 + [SECOND] * 9


def test_failures_are_deleted_and_typed_names_are_not_stored(state: Engine) -> None:
    tried(state, [throttle.name("a password typed too early")], NOW)
    tried(state, [ANNA], NOW + throttle.FORGOTTEN)
    with reading(state) as connection:
        rows = connection.execute(select(login_failure)).all()
    assert len(rows) == 1
    assert b"password" not in bytes(rows[0].digest)


def test_user_id_and_equal_looking_name_are_counted_separately(state: Engine) -> None:
    here = throttle.address("192.0.2.7")
    user, name = throttle.user(1), throttle.name("1")
    every = [user, name, throttle.at(user, here), throttle.at(name, here), throttle.login("1")]
    every += [throttle.device("1"), throttle.address("1")]
    assert len({one.digest for one in every}) == len(every)
    for _ in range(4):
        tried(state, [throttle.at(name, here)], NOW)
    assert tried(state, [throttle.at(name, here)], NOW) > 0
    assert tried(state, [throttle.at(user, here)], NOW) == 0


def test_number_of_failure_rows_is_limited(state: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "MOST", 5)
    for number in range(20):
        tried(state, [throttle.name(f"{number}")], NOW + number)
    with reading(state) as connection:
        kept = connection.execute(select(login_failure.c.failed_at)).scalars().all()
    assert sorted(kept) == [NOW + number for number in range(15, 20)]


def test_audit_trail_is_paged_from_the_newest_entry(state: Engine) -> None:
    with writing(state) as connection:
        for number in range(5):
            audit.record(connection, "Anna", "route changed", f"route {number}", {"n": number})
    with reading(state) as connection:
        newest = audit.listed(connection, 2)
        rest = audit.listed(connection, 10, before=newest[-1].id)
    assert [entry.subject for entry in newest + rest] == [f"route {n}" for n in (4, 3, 2, 1, 0)]
    assert (newest[0].who, newest[0].what, newest[0].detail) == ("Anna", "route changed", {"n": 4})
    assert newest[0].at >= rest[-1].at > NOW - 10 * 365 * DAY


def test_audit_entry_is_rolled_back_with_its_change(state: Engine) -> None:
    def change_badly() -> None:
        with writing(state) as connection:
            audit.record(connection, "x" * 300, "sensor changed", "y" * 500)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_badly()
    with reading(state) as connection:
        assert audit.listed(connection, 1) == []
