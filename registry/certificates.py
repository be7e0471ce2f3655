"""The certificates of nap's servers and their clients, signed by a CA of the home's own.

Importing this loads the cryptography library.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from registry.errors import RegistryError
from registry.files import remove, write_private

LIFE = datetime.timedelta(days=3650)
LOOPBACK = "127.0.0.1"
_DNS_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_SERVES, _ASKS = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Certificates:
    """Paths of the PEM files in a folder.

    `server` is etcd's certificate, `client` the receiver's, `node` that of all nodes, `images` that of the
    servers that nodes reach: the registry, and the proxy in front of etcd.
    """

    folder: Path

    @property
    def ca(self) -> Path:
        return self.cert("ca")

    def cert(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def ensure(folder: Path, addresses: Collection[str] = ()) -> Certificates:
    """Make the certificates that are missing or not good; return the paths of all.

    `images` is valid for `addresses` (names or IPs) as well. It is issued anew when it lacks one of them:
    clients trust the CA, so this changes nothing for them. Raise RegistryError for an invalid address.
    """
    files = Certificates(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _authority(files)
    # etcd's gateway is a client of its own server, and presents the server's certificate to it.
    servers = {"server": ({LOOPBACK}, (_SERVES, _ASKS)), "images": ({LOOPBACK, *addresses}, (_SERVES,))}
    for name, (wanted, purposes) in servers.items():
        if not (_is_good(files, name) and wanted <= _names(files.cert(name))):
            _issue(files, name, authority, purposes, sorted(wanted))
    for name in ("client", "node"):
        if not _is_good(files, name):
            _issue(files, name, authority, (_ASKS,))
    return files


def are_good(folder: Path) -> bool:
    """Return whether the receiver and etcd can trust each other with the certificates in `folder`."""
    return all(_is_good(Certificates(folder), name) for name in ("ca", "server", "client"))


def _is_good(files: Certificates, name: str) -> bool:
    """Return whether a key and its certificate are readable, match, are valid now, and signed by this CA.

    They can be damaged, or have been made while the clock was wrong.
    """
    try:
        certificate = x509.load_pem_x509_certificate(files.cert(name).read_bytes())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(files.ca.read_bytes()))
        same = _load_key(files.key(name)).public_key() == certificate.public_key()
    except (OSError, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, RegistryError):
        return False
    begins, ends = _validity(certificate)
    return same and begins <= datetime.datetime.now(datetime.timezone.utc) <= ends


def _validity(certificate: x509.Certificate) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the start and end of validity, in UTC. Older versions of the library have naive times only."""
    if hasattr(certificate, "not_valid_before_utc"):
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    utc = datetime.timezone.utc
    before, after = certificate.not_valid_before, certificate.not_valid_after
    return before.replace(tzinfo=utc), after.replace(tzinfo=utc)


def _authority(files: Certificates) -> _Authority:
    """Return the CA of the folder. Unless it is good, make a new one, and remove all that it has signed."""
    if _is_good(files, "ca"):
        return _Authority(_load_key(files.key("ca")))
    for certificate in files.folder.glob("*.crt"):
        remove(certificate)
    remove(files.key("ca"))
    authority = _Authority(ec.generate_private_key(ec.SECP256R1()))
    write_private(files.key("ca"), _pem(authority.key))
    write_private(files.ca, authority.certificate())
    return authority


def _issue(
    files: Certificates,
    name: str,
    authority: _Authority,
    purposes: Iterable[ObjectIdentifier],
    names: Iterable[str] = (),
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority.sign(f"nap {name}", key.public_key(), purposes, names)
    # The certificate is removed first and written last: its presence implies that of its key.
    for damaged in (files.cert(name), files.key(name)):
        remove(damaged)
    write_private(files.key(name), _pem(key))
    write_private(files.cert(name), certificate)


def _names(certificate: Path) -> set[str]:
    """Return the names and addresses that a certificate is valid for; none when there is no file."""
    if not certificate.exists():
        return set()
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*names.get_values_for_type(x509.DNSName), *map(str, addresses)}


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise RegistryError(f"{path} is not a key of nap's own.", f"Remove {path.parent}, then: nap up")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class _Authority:
    """A CA: its key, and the certificates that it signs."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.key = key
        self._name = "nap CA"

    def certificate(self) -> bytes:
        public = self.key.public_key()
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

    def sign(
        self,
        name: str,
        public: ec.EllipticCurvePublicKey,
        purposes: Iterable[ObjectIdentifier],
        names: Iterable[str],
    ) -> bytes:
        """Return a certificate in PEM. `names` are DNS names and IP addresses, none for a client."""
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (
            self._builder(name, public)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(issuer, critical=False)
        )
        if alternatives := [_general(each) for each in names]:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return self._signed(builder)

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
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _distinguished(name: str) -> x509.Name:
    """Return a name without a CN: etcd takes a CN for a user, and its gateway then refuses others' tokens."""
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _DNS_NAME.fullmatch(name):
            hint = "Name this machine as nodes do: a host's name or an IP address, without a port."
            raise RegistryError(f"{name!r} is not an address of this machine.", hint) from None
        return x509.DNSName(name)
