"""U+0000, which PostgreSQL can't store, in every field and parameter."""

import re
from pathlib import Path
from typing import Any

from tests import postgres
from tests.web.complete_app import CompleteApp, path_of
from tests.web.contexts import BASE
from tests.web.visitors import BROWSER, logged_in

_TEXT = re.compile(r"<\w+>")
NAMES = (
    *(
        "action",
        "again",
        "all",
        "at",
        "before",
        "budget",
        "channel",
        "comment",
        "email",
        "escalate",
    ),
    *("from", "id", "kind", "labels", "lasts", "mac", "macs", "matchers", "metrics", "name", "new"),
    *("next", "old", "outages", "packed", "page", "password", "q", "role", "rule", "settings.url"),
    *("shown", "since", "site", "start", "starts", "state", "stop", "text", "threshold", "title"),
    *("escalate", "to", "until", "value", "zone"),
)
"""Fields of forms and parameters of queries."""


def test_nul_characters_cause_no_internal_error(tmp_path: Path) -> None:
    complete_app = CompleteApp(tmp_path, BASE, MONITOR_STATE_URL=postgres.fresh_database())
    visitor = logged_in(complete_app.app, "administrator")
    token = visitor.token("/account")
    headers = {**BROWSER, "X-CSRF-Token": token}
    failed = set()
    for rule in complete_app.rules():
        if "logout" in rule.rule:
            continue
        paths = {path_of(rule)}
        if _TEXT.search(rule.rule):
            paths.add(_TEXT.sub("x%00", rule.rule))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            for path in paths:
                given: dict[str, Any] = {"headers": headers, "base_url": BASE, "method": method}
                if method == "GET":
                    queries = [""] if "%" in path else [f"{name}=x%00" for name in NAMES]
                    answers = [visitor.client.open(f"{path}?{query}", **given) for query in queries]
                else:
                    form = {"sure": "yes", **dict.fromkeys(NAMES, "x\0")}
                    forms = [form, {"sure": "yes", "name": "x\0"}, {"action": "site", "q": "\0"}]
                    answers = [visitor.client.open(path, data=data, **given) for data in forms]
                if any(answer.status_code == 500 for answer in answers):
                    failed.add(f"{method} {path}")
    assert visitor.get("/account").status_code == 200  # still logged in
    complete_app.close()
    complete_app.engine.dispose()
    assert failed == set()
