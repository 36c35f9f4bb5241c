# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an intake is asked to do. Equal requests are the same job."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from asl.errors import Usage
from asl.formats import canonical
from asl.kernel import ChunkParams
from asl.names import check_domain
from asl.sources.media import Media


class _Request(NamedTuple):
    """Sources in the order given, the store, the domain, labels, the average chunk size in bytes, and how failing disks are read."""

    sources: tuple[str, ...]
    store: str
    domain: str
    labels: Mapping[str, str] = MappingProxyType({})
    chunk_average: int = 64 * 1024
    media: Media = Media()
    sign: Optional[str] = None
    """The SSH key that signs the receipt: a file on this machine, its name and nothing of it."""


class Request(_Request):
    """The same, as far as it can be meant."""

    __slots__ = ()

    if not TYPE_CHECKING:  # which knows the arguments by the fields

        def __init__(self, *_given: object, **_named: object) -> None:
            self._check()

    def _check(self) -> None:
        """Raises Usage for a request that cannot be meant."""
        if not self.sources:
            raise Usage("no source was named", reason="NO_SOURCE", hint="for example: asl-intake run tree:/mnt/crashed")
        twice = {source for source in self.sources if self.sources.count(source) > 1}
        if twice:
            raise Usage(f"the source {min(twice)} is named twice", reason="BAD_SOURCE")
        devices = [source for source in self.sources if source.startswith("device:")]
        if (self.media.map or self.media.retry or self.media.domain_map) and len(devices) != 1:
            hint = "give one device: source; others can have an intake of their own"
            raise Usage(f"a map is of one device, but {len(devices)} are to be read", reason="BAD_MEDIA", hint=hint)
        check_domain(self.domain)
        ChunkParams.for_average(self.chunk_average)

    @property
    def id(self) -> str:
        """The job's id: 16 hex characters of the digest of the request."""
        return hashlib.sha256(canonical.encode(self.document())).hexdigest()[:16]

    @property
    def chunks(self) -> ChunkParams:
        """How content is cut."""
        return ChunkParams.for_average(self.chunk_average)

    def document(self) -> dict[str, Any]:
        """As it stands in request.json."""
        media = self.media.document()
        return {
            "sources": list(self.sources), "store": self.store, "domain": self.domain,
            "labels": dict(self.labels), "chunk_average": self.chunk_average, **({"media": media} if media else {}),
            **({"sign": self.sign} if self.sign else {}),
        }  # fmt: skip

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Request:
        """The request in a request.json. Raises Usage."""
        try:
            _check_types(document)
            media = Media.of(document.get("media", {}))
            given = (tuple(document["sources"]), document["store"], document["domain"], document["labels"], document["chunk_average"])
            return cls(*given, media=media, sign=document.get("sign"))
        except (KeyError, TypeError) as error:
            raise Usage(f"a request without {error}", reason="BAD_REQUEST") from error

    def actions(self) -> list[str]:
        """What running it does, for people and for check mode."""
        return [f"read {source} into {self.store} (domain {self.domain})" for source in self.sources]


def _check_types(document: Mapping[str, Any]) -> None:
    """Raise TypeError for a request.json in which something is of another type."""
    kinds = {"sources": list, "store": str, "domain": str, "labels": dict, "chunk_average": int}
    wrong = [key for key, kind in kinds.items() if not isinstance(document[key], kind) or isinstance(document[key], bool)]
    wrong += [key for key in ("media",) if not isinstance(document.get(key, {}), dict)]
    wrong += ["sources"] * (not wrong and not all(isinstance(each, str) for each in document["sources"]))
    wrong += ["labels"] * (not wrong and not all(isinstance(each, str) for each in document["labels"].values()))
    wrong += ["sign"] * (not isinstance(document.get("sign"), (str, type(None))))
    wrong += [key for key in ("sources", "store", "labels", "sign") if not wrong and not _speakable(document.get(key))]
    if wrong:
        raise TypeError(f"{wrong[0]} as it should be")


def _speakable(value: Any) -> bool:
    """Whether all text in VALUE can be the name of something: no zero byte, nothing that is neither text nor bytes of a file's name."""
    if isinstance(value, str):
        try:
            return b"\0" not in os.fsencode(value)
        except UnicodeEncodeError:
            return False
    return all(map(_speakable, [*value, *value.values()] if isinstance(value, dict) else value or ()))


def parse_labels(words: Sequence[str]) -> dict[str, str]:
    """The labels in WORDS, each KEY=VALUE. Raises Usage."""
    labels = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise Usage(f"the label {word!r} is not of the form KEY=VALUE", reason="BAD_LABEL")
        labels[key] = value
    return labels
