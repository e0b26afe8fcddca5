"""The serving certificate, from files that a kubelet replaces at any time: loaded, watched and swapped in place."""

from __future__ import annotations

import asyncio
import datetime
import logging
import ssl
from pathlib import Path

from cryptography import x509

log = logging.getLogger(__name__)

CERTIFICATE, KEY = "tls.crt", "tls.key"


class CertificateError(Exception):
    """The files in the certificate folder can't be served; the text names file and trouble."""


class ServingCertificate:
    """A server TLS context whose certificate follows the files ``tls.crt`` and ``tls.key`` of one folder.

    ``problem`` says why nothing is served yet; it is empty from the first certificate on.

    Each new handshake gets the newest pair that could be loaded whole; a pair that can't be (half written, key and
    certificate of different times) leaves the last good one in place. Connections that stand are not disturbed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current: ssl.SSLContext | None = None
        self._seen: tuple[bytes, bytes] | None = None
        self.not_after: datetime.datetime | None = None
        self.problem = "no certificate was looked for yet"
        self.context = _server_context()
        self.context.sni_callback = self._hand_over

    def refresh(self) -> bool:
        """Look at the files once; True when another certificate is served from now on.

        Raises:
            CertificateError: the files can't be read or don't belong together; what was served before still is.
        """
        try:
            pair = ((self._folder / CERTIFICATE).read_bytes(), (self._folder / KEY).read_bytes())
            if pair == self._seen:
                return False
            context = _server_context()
            context.load_cert_chain(self._folder / CERTIFICATE, self._folder / KEY)
            certificate = x509.load_pem_x509_certificate(pair[0])
        except (OSError, ValueError) as error:
            problem = f"no certificate could be loaded from {self._folder}: {error}"
            if self._current is None:
                self.problem = problem
            raise CertificateError(problem) from error
        self._current, self._seen, self.problem = context, pair, ""
        self.not_after = certificate.not_valid_after_utc
        return True

    async def follow(self, interval_s: float) -> None:
        """Look at the files every ``interval_s`` seconds, for ever; trouble is logged once per kind."""
        told = ""
        while True:
            try:
                if self.refresh():
                    told = ""
                    log.info("certificate loaded, valid until %s", self.not_after)
            except CertificateError as error:
                if told != str(error):
                    told = str(error)
                    log.warning("%s", error)
            await asyncio.sleep(interval_s)

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context
