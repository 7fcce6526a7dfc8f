"""Signatures of reports: what was changed is found, and keys that do not serve are refused in one line."""

import sys

import pytest

from junlearn.errors import ConfigError, DamagedError
from junlearn.reports import signature

NEEDED = "cryptography is not installed: the extra sign has it"


@pytest.fixture
def keys(tmp_path):
    """A function that writes a private key and its public one in PEM, of the kind Ed25519 or another."""
    pytest.importorskip("cryptography", reason=NEEDED)
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    def make(name="own", kind="ed25519", password=None):
        if kind == "ed25519":
            key = ed25519.Ed25519PrivateKey.generate()
        else:
            key = ec.generate_private_key(ec.SECP256R1())
        locked = form.BestAvailableEncryption(password) if password else form.NoEncryption()
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}_public.pem"
        private.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked))
        spki = form.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_key().public_bytes(form.Encoding.PEM, spki))
        return private, public

    return make


def test_what_was_signed_holds_and_nothing_else(keys, tmp_path):
    private, public = keys()
    report = tmp_path / "report.html"
    report.write_text("as it was")
    place = signature.sign(report, signature.private_key(private))
    assert place == tmp_path / "report.html.sig"
    key = signature.public_key(public)
    assert signature.fingerprint(key) == signature.fingerprint(
        signature.private_key(private).public_key()
    )
    signature.verify(report, key)
    other = signature.public_key(keys("other")[1])
    with pytest.raises(DamagedError, match="is not what was signed"):
        signature.verify(report, other)
    report.write_text("as it is")
    with pytest.raises(DamagedError, match=signature.fingerprint(key)):
        signature.verify(report, key)
    for wrong in ("", "no base64 \x00", "AAAA"):
        place.write_text(wrong)
        with pytest.raises(DamagedError, match="is not what was signed"):
            signature.verify(report, key)


def test_keys_that_do_not_serve(keys, tmp_path):
    private, public = keys()
    with pytest.raises(ConfigError, match="a private key, and the public one is wanted; openssl"):
        signature.public_key(private)
    with pytest.raises(ConfigError, match="no private key in PEM; openssl genpkey"):
        signature.private_key(public)
    with pytest.raises(ConfigError, match="no public key in PEM"):
        signature.public_key(_written(tmp_path / "text", "no key"))
    with pytest.raises(ConfigError, match="No such file"):
        signature.private_key(tmp_path / "none")
    private, public = keys("curve", "ec")
    with pytest.raises(ConfigError, match="not of the kind Ed25519; openssl"):
        signature.private_key(private)
    with pytest.raises(ConfigError, match="not of the kind Ed25519"):
        signature.public_key(public)
    with pytest.raises(ConfigError, match="locked by a password"):
        signature.private_key(keys("locked", password=b"secret")[0])


def test_a_signature_or_report_that_is_not_there(keys, tmp_path):
    key = signature.public_key(keys()[1])
    report = _written(tmp_path / "report.html", "text")
    with pytest.raises(ConfigError, match=r"signature .*report.html.sig: No such file"):
        signature.verify(report, key)
    with pytest.raises(ConfigError, match=r"report .*none: No such file"):
        signature.verify(tmp_path / "none", key)


def test_without_the_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(ConfigError, match=r"signatures need cryptography: .*junlearn\[sign\]"):
        signature.public_key(_written(tmp_path / "key", "any"))


def _written(path, text):
    path.write_text(text)
    return path
