"""When authority and serving certificate are made anew, and that no step of a rotation leaves anybody untrusted."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass, field

import pytest
from cryptography import x509

from webhook.certs import AUTHORITIES, AUTHORITY_KEY, SERVING, SERVING_KEY, Lifetimes, read_bundle, read_material, renew

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SECOND, HOUR, DAY = (datetime.timedelta(seconds=n) for n in (1, 3600, 86400))
NAMES = ("hami-webhook", "hami-webhook.hami-system.svc", "127.0.0.1")
LIFETIMES = Lifetimes()


@dataclass
class World:
    """A Secret, the bundle that API servers hold, and the newest certificate that some replica may still serve."""

    now: datetime.datetime = START
    data: dict[str, bytes] = field(default_factory=dict)
    published: bytes = b""
    names: tuple[str, ...] = NAMES

    def step(self) -> bool:
        """One pass as ``install.ensure`` makes it: Secret first, then the bundle."""
        changed = renew(self.data, self.published, self.names, self.now, LIFETIMES)
        if changed is not None:
            self.data = changed
        published, self.published = self.published, self.data[AUTHORITIES]
        return changed is not None or published != self.published

    def settle(self) -> None:
        for _ in range(5):
            if not self.step():
                return
            self.now += 11 * SECOND
        raise AssertionError("the rotation does not come to rest")

    def live_until(self, end: datetime.datetime) -> None:
        """Passes every 50 days, as if the loop had run all the time."""
        while self.now < end:
            self.now = min(self.now + 50 * DAY, end)
            self.settle()
        self.now = end


def installed(after: datetime.timedelta = 11 * SECOND) -> World:
    world = World()
    world.settle()
    world.now = START + after
    return world


def serving(world: World) -> x509.Certificate:
    return x509.load_pem_x509_certificate(world.data[SERVING])


def test_an_empty_secret_gets_authority_and_serving_certificate_at_once():
    data = renew({}, b"", NAMES, START, LIFETIMES)
    assert data is not None
    assert set(data) == {AUTHORITIES, AUTHORITY_KEY, SERVING, SERVING_KEY}
    material = read_material(data, START)
    assert material is not None
    (authority,) = material.authorities
    material.serving.verify_directly_issued_by(authority)
    names = material.serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hami-webhook", "hami-webhook.hami-system.svc"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert authority.not_valid_after_utc - START == datetime.timedelta(days=3650)
    assert material.serving.not_valid_after_utc - START == datetime.timedelta(days=365)


def test_what_is_in_order_is_left_as_it_is():
    world = installed()
    assert renew(world.data, world.published, NAMES, world.now, LIFETIMES) is None
    assert renew(world.data, world.published, NAMES, START + 240 * DAY, LIFETIMES) is None


@pytest.mark.parametrize("part", [AUTHORITIES, AUTHORITY_KEY, SERVING, SERVING_KEY])
@pytest.mark.parametrize("damage", [None, b"", b"not a certificate", "foreign"])
def test_a_secret_with_a_damaged_part_is_made_anew_and_what_was_published_stays_trusted(part, damage):
    world = installed()
    old = read_bundle(world.published)
    if damage == "foreign":
        world.data[part] = (renew({}, b"", NAMES, world.now, LIFETIMES) or {})[part]
    elif damage is None:
        del world.data[part]
    else:
        world.data[part] = damage
    changed = renew(world.data, world.published, NAMES, world.now, LIFETIMES)
    assert changed is not None
    material = read_material(changed, world.now)
    assert material is not None
    assert len(material.authorities) == 2
    assert set(old) < set(material.authorities)


def test_the_serving_certificate_is_renewed_at_two_thirds_of_its_life_with_the_same_authority():
    world = installed()
    before, bundle = serving(world), world.data[AUTHORITIES]
    world.now = START + 365 * DAY * 2 / 3 - DAY
    assert not world.step()
    world.now = START + 365 * DAY * 2 / 3 + SECOND
    assert world.step()
    assert serving(world).serial_number != before.serial_number
    assert serving(world).not_valid_after_utc - world.now == 365 * DAY
    assert world.data[AUTHORITIES] == bundle


def test_the_serving_certificate_is_renewed_when_its_names_change():
    world = installed()
    world.names = (*NAMES, "hami-webhook.elsewhere.svc")
    world.settle()
    names = serving(world).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "hami-webhook.elsewhere.svc" in names.get_values_for_type(x509.DNSName)
    assert not world.step()


def test_an_expired_serving_certificate_is_replaced():
    world = installed()
    world.now = START + 400 * DAY
    world.settle()
    assert serving(world).not_valid_after_utc > world.now


def test_a_new_authority_is_trusted_before_it_signs_and_the_old_one_until_nobody_serves_it():
    world = installed()
    (old,) = read_bundle(world.published)
    world.live_until(START + 3650 * DAY * 2 / 3 - SECOND)
    assert read_bundle(world.published) == (old,)
    world.now += 2 * SECOND
    first_serving = serving(world)

    assert world.step(), "the new authority joins the bundle"
    new, *rest = read_bundle(world.published)
    assert rest == [old]
    assert serving(world) == first_serving, "and signs nothing yet"

    world.now += SECOND
    assert not world.step(), "not before it has settled"
    world.now += 10 * SECOND
    assert world.step()
    serving(world).verify_directly_issued_by(new)
    assert read_bundle(world.published) == (new, old), "replicas may still serve the old certificate"

    world.now += HOUR - SECOND
    assert not world.step()
    world.now += 2 * SECOND
    assert world.step()
    assert read_bundle(world.published) == (new,)
    world.now += SECOND
    assert not world.step()


def test_a_new_authority_never_signs_while_the_api_servers_do_not_trust_it():
    world = installed()
    world.live_until(START + 3650 * DAY * 2 / 3 - SECOND)
    world.now += DAY
    stale = world.published
    changed = renew(world.data, stale, NAMES, world.now, LIFETIMES)
    assert changed is not None
    assert changed[SERVING] == world.data[SERVING]
    for hours in range(1, 50):
        assert renew(changed, stale, NAMES, world.now + hours * HOUR, LIFETIMES) is None


def test_certificates_are_accepted_by_a_tls_client_that_checks_strictly(tmp_path):
    data = renew({}, b"", NAMES, datetime.datetime.now(datetime.UTC), LIFETIMES)
    assert data is not None
    for name, content in data.items():
        (tmp_path / name).write_bytes(content)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / SERVING, tmp_path / SERVING_KEY)
    client = ssl.create_default_context(cafile=str(tmp_path / AUTHORITIES))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in NAMES:
        assert handshake(client, server, name)


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> str | None:
    """Both ends in memory; the protocol version they agreed on."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0].version()
