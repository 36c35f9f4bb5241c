# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was kept outside of the store: a receipt, its signature, and who may sign."""

from __future__ import annotations

from typing import Optional

from asl import signing
from asl.errors import Damaged, Unavailable, Usage
from asl.formats.attestation import Attestation
from asl.prove.links import ABSENT, BROKEN, HELD, Link
from asl.signing import Signer

# A receipt lists 10,000 losses at most for each source; what is larger is none.
LARGEST = 64 * 1024 * 1024


class Witness:
    """A receipt (its bytes), its armored signature, the file of allowed signers and the one that it has to be. Each may be missing."""

    def __init__(
        self,
        receipt: Optional[bytes] = None,
        signature: Optional[str] = None,
        signers: Optional[str] = None,
        identity: Optional[str] = None,
    ) -> None:
        if receipt is None and (signature or signers or identity):
            hint = "asl-admin receipt SNAPSHOT --output FILE made one"
            raise Usage("a signature is of a receipt, and none was given", reason="NO_RECEIPT", hint=hint)
        if signature is None and (signers or identity):
            raise Usage("nobody has signed this receipt", reason="NO_SIGNATURE", hint="name the file of the signature: --signature FILE")
        if identity and not signers:
            raise Usage("nobody says which key belongs to whom", reason="SIGNERS", hint="name the file that does: --allowed-signers FILE")
        self._receipt, self._signature, self._signers, self._identity = receipt, signature, signers, identity
        self.signer: Optional[Signer] = None

    @property
    def given(self) -> bool:
        """Whether there is a receipt from elsewhere."""
        return self._receipt is not None

    def signature_link(self) -> Link:
        """The first link. Raises Unavailable: NO_SSH_KEYGEN, SIGNERS."""
        if self._receipt is None or self._signature is None:
            return Link("signature", ABSENT, "there is none")
        try:
            self.signer = signing.check(self._receipt, self._signature, self._signers, self._identity)
        except Damaged as error:
            return Link("signature", BROKEN, error.message, error.reason)
        whose = self.signer.principal or "somebody; --allowed-signers says who that is"
        return Link("signature", HELD, f"it is good, with {self.signer.key}, by {whose}")

    def receipt_link(self) -> tuple[Optional[Attestation], Link]:
        """What the receipt says, and the second link."""
        if self._receipt is None:
            return None, Link("receipt", ABSENT, "none was given: the one in the store is taken")
        try:
            found = Attestation.decode(self._receipt)
        except Damaged as error:
            return None, Link("receipt", BROKEN, error.message, error.reason)
        return found, Link("receipt", HELD, f"of snapshot {found.snapshot}, sealed as record {found.logseq} of the log")


def read_file(path: str) -> bytes:
    """The bytes of a receipt or a signature. Raises Unavailable."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {(error.strerror or str(error)).lower()}", reason="RECEIPT_UNREADABLE") from error
    if len(data) > LARGEST:
        raise Unavailable(f"{path} is too large for a receipt", reason="RECEIPT_UNREADABLE")
    return data
