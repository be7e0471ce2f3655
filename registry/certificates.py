"""The certificates that guard the embedded etcd: a CA of its own, one for the server, one for us.

Importing this loads the cryptography library.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from registry.files import write_private

LIFE = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class Certificates:
    """Paths of the PEM files in a folder; `name` is "server" or "client"."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def cert(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def ensure(folder: Path) -> Certificates:
    """Make the certificates, unless a whole set is there already.

    The CA's own key is not kept: nothing else can ever be signed by it.
    """
    files = Certificates(folder)
    if not files.ca.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        authority = _Authority()
        for name in ("server", "client"):
            key = ec.generate_private_key(ec.SECP256R1())
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_private(files.key(name), pem)
            write_private(files.cert(name), authority.sign(f"nap etcd {name}", key.public_key()))
        # Last, because its presence says that the others are there.
        write_private(files.ca, authority.certificate())
    return files


class _Authority:
    """A CA that lives as long as this object."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = "nap etcd CA"

    def certificate(self) -> bytes:
        public = self._key.public_key()
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        return self._signed(
            self._builder(self._name, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(usage, critical=True)
        )

    def sign(self, name: str, public: ec.EllipticCurvePublicKey) -> bytes:
        """A certificate for both ends: etcd's gateway is a client of its own server."""
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return self._signed(
            self._builder(name, public)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(issuer, critical=False)
        )

    def _builder(self, name: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(_distinguished(name))
            .issuer_name(_distinguished(self._name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + LIFE)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _distinguished(name: str) -> x509.Name:
    """No common name: to etcd it is a user's, and its gateway then refuses tokens of others."""
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
