"""An authority of our own, and certificates it signs: made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["Authority"]

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Authority:
    """Whom nobody trusts who was not told to."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.certificate, self.key = root / "authority.pem", root / "authority.key"
        # Usable for TLS and, by docker-registry, for tokens.
        words = ("-x509", "-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign,digitalSignature")
        self._openssl("req", *KEY, *words, "-keyout", self.key, "-out", self.certificate)

    def sign(self, *names: str) -> tuple[Path, Path]:
        """Return a certificate for these names or addresses, and its key."""
        certificate, key, request = (self.root / f"{names[0]}.{end}" for end in ("pem", "key", "csr"))
        self._openssl("req", *KEY, "-subj", f"/CN={names[0]}", "-keyout", key, "-out", request)
        extensions = self.root / "extensions"
        kinds = [f"{'IP' if name.replace('.', '').isdecimal() else 'DNS'}:{name}" for name in names]
        extensions.write_text(f"subjectAltName={','.join(kinds)}\n")
        words = ("-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", "2")
        self._openssl("x509", *words, "-extfile", extensions, "-out", certificate)
        return certificate, key

    def _openssl(self, *words: str | Path) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
