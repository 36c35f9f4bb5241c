# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An attestation: what can be signed of a sealed snapshot, as canonical JSON. Not stored: it is made of the log, the same one every time.

    format "asl-attestation", version 1
    domain, store_id, snapshot (its id), digest (content digest: hex of the manifest's), receipt (reference)     what was sealed
    root (hex SHA-256 of the checkpoint), logseq, link (hex record_hash) of the anchor, sealed                   where in the log
    intake: the receipt itself, as an object, or null                                                            how it was read

`link` covers the whole log up to the anchor, `digest` every byte of the content, `receipt` all that was said of the intake. With `intake`
it is a receipt that can be read and held against a store without any other file: its canonical JSON has the digest in `receipt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from asl.errors import AslError, Damaged, Unsupported
from asl.formats import artifact, canonical
from asl.formats.artifact import TAG_RECEIPT
from asl.names import Digest, parse_reference, reference_text

FORMAT, VERSION = "asl-attestation", 1


class Attestation(NamedTuple):
    """The decoded text. `snapshot` is the id, `digest` the digest of the manifest, `intake` the receipt where it is part of it."""

    domain: str
    store_id: str
    snapshot: int
    digest: Digest
    receipt: Digest
    root: bytes
    logseq: int
    link: bytes
    sealed: int
    intake: Optional[Mapping[str, Any]] = None

    def encode(self) -> bytes:
        """The bytes that are signed."""
        return canonical.encode(
            {
                "format": FORMAT, "version": VERSION, "domain": self.domain, "store_id": self.store_id, "snapshot": str(self.snapshot),
                "digest": self.digest.hex(), "receipt": reference_text(self.receipt), "root": self.root.hex(), "logseq": self.logseq,
                "link": self.link.hex(), "sealed": self.sealed, "intake": None if self.intake is None else dict(self.intake),
            }
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> Attestation:
        """Raises Damaged, also where `intake` is not the receipt that `receipt` names; Unsupported for a newer version."""
        value = canonical.decode(data, "the receipt")
        if value.get("format") != FORMAT:
            raise Damaged(f"the receipt without its format word {FORMAT!r}", reason="BAD_RECEIPT")
        if isinstance(value.get("version"), int) and value["version"] > VERSION:
            raise Unsupported(f"a receipt of version {value['version']}; this engine knows {VERSION}")
        try:
            found = cls(
                str(value["domain"]), str(value["store_id"]), int(value["snapshot"]), Digest(bytes.fromhex(value["digest"])),
                parse_reference(value["receipt"]), bytes.fromhex(value["root"]), int(value["logseq"]), bytes.fromhex(value["link"]),
                int(value["sealed"]), value["intake"],
            )  # fmt: skip
            same = found.encode() == data
        except (AslError, KeyError, TypeError, ValueError) as error:
            raise Damaged(f"the receipt makes no sense: {error}", reason="BAD_RECEIPT") from error
        if not same:
            raise Damaged("the receipt is not as it was written", reason="BAD_RECEIPT")
        if found.intake is not None and artifact.digest(canonical.encode(dict(found.intake)), TAG_RECEIPT) != found.receipt:
            raise Damaged("what the receipt says of the intake is not what was sealed: it has another digest", reason="BAD_RECEIPT")
        return found
