"""The webhook's certificates: what its Secret holds, and when which part is made anew. Pure: time is an argument.

One rule keeps every call alive through a rotation: *trusted before used, dropped after unused*. A new authority is
first only added to the bundle; it signs once the API servers hold that bundle; the old one leaves the bundle once no
replica can serve a certificate of it any more.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Keys of the Secret. ``ca.crt`` is the whole bundle, the authority that signs first.
AUTHORITIES, AUTHORITY_KEY, SERVING, SERVING_KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"

#: Certificates are valid from a little before they are made, for peers whose clock is behind.
BACKDATE = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things last. Authority and serving certificate are renewed at two thirds of their life.

    ``settle``: how long a new authority is trusted before it signs (API servers learn a bundle in milliseconds).
    ``retire``: how long an old authority stays trusted after the serving certificate changed; it covers the time that
    kubelets take to bring a changed Secret into the pods (about two minutes).
    """

    authority: datetime.timedelta = datetime.timedelta(days=3650)
    serving: datetime.timedelta = datetime.timedelta(days=365)
    settle: datetime.timedelta = datetime.timedelta(seconds=10)
    retire: datetime.timedelta = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Material:
    """The Secret's content, read. ``authorities`` are all that are trusted; the first signs, only its key is kept."""

    authorities: tuple[x509.Certificate, ...]
    authority_key: ec.EllipticCurvePrivateKey
    serving: x509.Certificate
    serving_key: ec.EllipticCurvePrivateKey


def renew(
    data: Mapping[str, bytes],
    published: bytes,
    names: Iterable[str],
    now: datetime.datetime,
    lifetimes: Lifetimes,
) -> dict[str, bytes] | None:
    """What the Secret should hold now, or None when it is right as it is. One step of a rotation at a time.

    ``data`` is the Secret's content (empty when there is none), ``published`` the PEM bundle that the API servers hold
    at this moment, ``names`` the DNS names and IP addresses that the serving certificate must bear.
    """
    wanted = tuple(names)
    material = read_material(data, now)
    if material is None:
        return _pem(_first(published, wanted, now, lifetimes))
    signer = material.authorities[0]
    trusted = signer in read_bundle(published) and now >= _made(signer) + lifetimes.settle
    if _due(signer, now):
        changed = _with_new_authority(material, now, lifetimes)
    elif not trusted:
        return None
    elif _due(material.serving, now) or _names(material.serving) != set(wanted) or not _signed(material, signer):
        changed = _with_new_serving(material, wanted, now, lifetimes)
    elif len(material.authorities) > 1 and now >= _made(material.serving) + lifetimes.retire:
        changed = replace(material, authorities=(signer,))
    else:
        return None
    return _pem(changed)


def read_material(data: Mapping[str, bytes], now: datetime.datetime) -> Material | None:
    """The Secret's content; None when a part is missing, unreadable, expired, or does not belong to the others."""
    try:
        authorities = tuple(x509.load_pem_x509_certificates(data[AUTHORITIES]))
        authority_key = serialization.load_pem_private_key(data[AUTHORITY_KEY], None)
        serving = x509.load_pem_x509_certificate(data[SERVING])
        serving_key = serialization.load_pem_private_key(data[SERVING_KEY], None)
    except (KeyError, ValueError, TypeError):
        return None
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey) or not isinstance(
        serving_key, ec.EllipticCurvePrivateKey
    ):
        return None
    if authority_key.public_key() != authorities[0].public_key() or serving_key.public_key() != serving.public_key():
        return None
    material = Material(_valid(authorities, now), authority_key, serving, serving_key)
    usable = authorities[0] in material.authorities and _valid((serving,), now)
    return material if usable and any(_signed(material, authority) for authority in material.authorities) else None


def read_bundle(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a bundle; none when it is empty or unreadable."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        return ()


def _first(published: bytes, names: tuple[str, ...], now: datetime.datetime, lifetimes: Lifetimes) -> Material:
    """Everything new. Authorities published before stay trusted: replicas may still serve a certificate of theirs."""
    authority, authority_key = _authority(now, lifetimes)
    serving, serving_key = _serving(authority, authority_key, names, now, lifetimes)
    return Material((authority, *_valid(read_bundle(published), now)), authority_key, serving, serving_key)


def _with_new_authority(material: Material, now: datetime.datetime, lifetimes: Lifetimes) -> Material:
    authority, key = _authority(now, lifetimes)
    return replace(material, authorities=(authority, *material.authorities), authority_key=key)


def _with_new_serving(
    material: Material, names: tuple[str, ...], now: datetime.datetime, lifetimes: Lifetimes
) -> Material:
    serving, key = _serving(material.authorities[0], material.authority_key, names, now, lifetimes)
    return replace(material, serving=serving, serving_key=key)


def _made(certificate: x509.Certificate) -> datetime.datetime:
    return certificate.not_valid_before_utc + BACKDATE


def _due(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    made = _made(certificate)
    return now >= made + (certificate.not_valid_after_utc - made) * 2 / 3


def _valid(certificates: Iterable[x509.Certificate], now: datetime.datetime) -> tuple[x509.Certificate, ...]:
    return tuple(c for c in certificates if c.not_valid_before_utc <= now < c.not_valid_after_utc)


def _signed(material: Material, authority: x509.Certificate) -> bool:
    try:
        material.serving.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, now: datetime.datetime, life: datetime.timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(now: datetime.datetime, lifetimes: Lifetimes) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A self-signed authority. Its name bears the time, so that two of them in one bundle are told apart."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"hami-webhook authority {now:%Y-%m-%dT%H:%M:%S.%fZ}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(subject, now, lifetimes.authority)
        .issuer_name(subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _serving(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    now: datetime.datetime,
    lifetimes: Lifetimes,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name("hami-webhook"), now, lifetimes.serving)
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([_alternative_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return certificate, key


def _pem(material: Material) -> dict[str, bytes]:
    return {
        AUTHORITIES: b"".join(_certificate_pem(authority) for authority in material.authorities),
        AUTHORITY_KEY: _key_pem(material.authority_key),
        SERVING: _certificate_pem(material.serving),
        SERVING_KEY: _key_pem(material.serving_key),
    }


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
