"""Signed tokens are valid only if unchanged."""

import string

from monitor.vault import Vault

VAULT = Vault("k" * 32)


def test_changed_or_extended_signature_is_refused() -> None:
    token = VAULT.sign("test", {"a": 1})
    assert VAULT.verify("test", token) == {"a": 1}
    assert VAULT.verify("other", token) is None
    letters = string.ascii_letters + string.digits + "-_"
    assert [x for x in letters if VAULT.verify("test", token[:-1] + x)] == [token[-1]]
    for stranger in ("é", "=", " ", "!"):
        assert VAULT.verify("test", token + stranger) is None
        assert VAULT.verify("test", token[:-1] + stranger + token[-1]) is None
