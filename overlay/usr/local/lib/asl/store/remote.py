# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing to a domain behind a gateway, with a token that can only add. Nothing of the store is read.

    caller       add(): what the domain is not known to have waits, in order, for the answer of a question
    ask threads  which of these digests are missing (backends.gateway.missing): several questions are under way at once
    caller       packs what is missing into the open block, in the order in which it came: equal sources make equal blocks, so that
                 a run after a kill finds the blocks of the run before it whole, and sends none of them again
    put threads  hash and send blocks; when all blocks of a batch are there, its segment: from then on every host of the domain has it

What the domain was said to have is not asked for again, for a while; what was packed is remembered until its segment is there.
Memory: WINDOW bytes that wait for an answer, and a block for each connection and two more.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Optional, Union

from asl import kernel
from asl.backends.gateway import MOST_DIGESTS, Gateway
from asl.errors import AslError, Unavailable, Usage
from asl.formats import artifact, block, segment
from asl.formats.artifact import Artifact, Buffer
from asl.formats.snapshot import About
from asl.kernel import Spans
from asl.names import DIGEST_SIZE, BlockID, Digest
from asl.store.state import Snapshot, State
from asl.store.writer import LARGE, Writer

# 16 MiB: four of them on the way hide the round trip of any link that is worth its name, and fit into the memory of a rescue host.
BLOCK_SIZE = 16 << 20
# Bytes and artifacts of one question, and bytes that wait for answers: the ASKING questions together fill the window. A question costs
# both ends about as much CPU time as the digests of a mebibyte, however little it asks.
ASK_BYTES, ASK_COUNT, WINDOW = 6 << 20, 4096, 24 << 20
ASKING = 4  # questions under way at once
# Blocks between two segments: 128 MiB. A kill costs their packing, and no sending.
BLOCKS_PER_SEGMENT = 8
# Digests the domain is known to have that are remembered, some 100 bytes each.
REMEMBERED = 200_000


class _Waiting(NamedTuple):
    """An artifact whose answer is not there yet."""

    digest: Digest
    head: bytes
    payload: bytes
    counted: bool


class _Question(NamedTuple):
    """Artifacts that were asked for together, and the answer to come."""

    artifacts: list[_Waiting]
    size: int
    answer: Future[bytes]


class _Block(NamedTuple):
    """A block on its way. The result of `sent` is its name and the bytes that went over the wire."""

    artifacts: list[tuple[Digest, int, int]]
    sent: Future[tuple[BlockID, int]]


class Sealed(NamedTuple):
    """What the gateway answered to a seal."""

    snapshot: Snapshot
    created: bool
    document: dict[str, Any]


class RemoteWriter(Writer):
    """A writer over a gateway. One thread. It answers what an intake asks of a writer; reading needs asl.store.open_store."""

    reads_back = False

    def __init__(self, gateway: Gateway, *, block_size: int = BLOCK_SIZE, connections: int = 4) -> None:
        # Not Writer's own: there is no log to replay and no index to open on this side.
        self.gateway = gateway
        self.state = State()
        meta = gateway.meta()
        if "add" not in meta.get("verbs", ()):
            raise Unavailable("the token may not add", reason="TOKEN_VERB", hint="use a token with the verb add")
        self.remote_id = str(meta["store_id"])
        self._block_size = min(block_size, BLOCK_SIZE)
        self._known: dict[Digest, None] = {}
        self._pending: dict[Digest, Any] = {}
        self._asking: list[_Waiting] = []
        self._asking_size = self._window_size = 0
        self._window: deque[_Question] = deque()
        self._parts: list[Buffer] = []
        self._plain_size = 0
        self._packed: list[tuple[Digest, int, int]] = []
        self._blocks: list[_Block] = []
        self._segments: deque[Future[list[Digest]]] = deque()
        self._on_the_way: deque[Future[Any]] = deque()
        self._most_on_the_way = connections + 1
        self._askers = ThreadPoolExecutor(ASKING, "asl-ask")
        self._senders = ThreadPoolExecutor(connections, "asl-send")
        self._broken = None
        self.bytes_stored = 0
        self.receipt: Optional[dict[str, Any]] = None
        self.found_later: Callable[[int], None] = lambda length: None

    def __enter__(self) -> RemoteWriter:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._askers.shutdown(wait=False, cancel_futures=True)
        self._senders.shutdown(wait=False, cancel_futures=True)
        self.gateway.close()

    @property
    def store_id(self) -> str:
        """The id of the domain's store."""
        return self.remote_id

    def has(self, digest: bytes) -> bool:
        """True when the domain is known to have the artifact, or will after the next commit(). False may only mean: not asked."""
        return digest in self._known or digest in self._pending

    def have(self, digests: bytes) -> bytes:
        """As Writer.have, of what is known."""
        return bytes(self.has(digests[at : at + 32]) for at in range(0, len(digests), 32))

    def learn(self, digests: Iterable[bytes]) -> None:
        """Ask for DIGESTS, many at once, so that has() knows those that are there."""
        packed: list[bytes] = []
        for digest in digests:
            packed.append(digest)
            if len(packed) == MOST_DIGESTS:
                self._learn(packed)
                packed = []
        if packed:
            self._learn(packed)

    def _learn(self, packed: list[bytes]) -> None:
        for digest, missing in zip(packed, self.gateway.missing(b"".join(packed))):
            if not missing and digest not in self._pending:
                self._known[Digest(digest)] = None

    def add(self, digest: Digest, payload: Buffer, type_tag: Optional[int] = None, *, again: bool = False) -> bool:
        """Store the artifact with DIGEST; False when the domain is known to have it. Where that is learnt later, `found_later` is
        called with the length of plain data."""
        if not again and self.has(digest):
            return False
        if len(payload) >= LARGE:
            self.add_parts(digest, _in_parts(artifact.header(len(payload), type_tag), payload))
            return True
        self._pending[digest] = None
        self._asking.append(_Waiting(digest, artifact.header(len(payload), type_tag), bytes(payload), type_tag is None))
        self._asking_size += len(payload)
        if self._asking_size >= ASK_BYTES or len(self._asking) >= ASK_COUNT:
            self._ask()
        return True

    def add_chunks(self, data: Buffer, spans: Spans, digests: bytes, done: Callable[[], None]) -> bytes:
        """As add(), for these spans of DATA, which are copied. One byte for each: 1 when it may be new."""
        view, new = memoryview(data), bytearray(len(digests) // DIGEST_SIZE)
        for number in range(len(new)):
            digest = Digest(digests[DIGEST_SIZE * number : DIGEST_SIZE * (number + 1)])
            new[number] = self.add(digest, view[spans[2 * number] : spans[2 * number + 1]])
        done()
        return bytes(new)

    def _ask(self) -> None:
        if self._asking:
            packed = b"".join(each.digest for each in self._asking)
            self._window.append(_Question(self._asking, self._asking_size, self._askers.submit(self.gateway.missing, packed)))
            self._window_size += self._asking_size
            self._asking, self._asking_size = [], 0
        while self._window and (self._window_size > WINDOW or self._window[0].answer.done()):
            self._answered()

    def _answered(self) -> None:
        """Pack what is missing of the oldest question."""
        question = self._window.popleft()
        self._window_size -= question.size
        for each, missing in zip(question.artifacts, question.answer.result()):
            if missing:
                self._pack(each)
            else:
                del self._pending[each.digest]
                self._remember(each.digest)
                if each.counted:
                    self.found_later(len(each.payload))

    def _remember(self, digest: Digest) -> None:
        self._known[digest] = None
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def _pack(self, each: _Waiting) -> None:
        size = len(each.head) + len(each.payload)
        if self._packed and self._plain_size + size > self._block_size:
            self._end_block()
        self._packed.append((each.digest, self._plain_size, size))
        self._parts += (each.head, each.payload)
        self._plain_size += size

    def _end_block(self) -> None:
        """Send the open block on its way; wait where too many are."""
        if not self._packed:
            return
        while len(self._on_the_way) >= self._most_on_the_way:
            self._on_the_way.popleft().result()
        tail = block.encode_tail(self._plain_size, self._plain_size, [offset for _digest, offset, _length in self._packed])
        data = b"".join([block.Header().encode(), *self._parts, tail])
        self._parts, self._plain_size = [], 0
        sent = self._senders.submit(self._send_block, data)
        self._on_the_way.append(sent)
        self._blocks.append(_Block(self._packed, sent))
        self._packed = []
        if len(self._blocks) >= BLOCKS_PER_SEGMENT:
            self._end_segment()

    def _send_block(self, data: bytes) -> tuple[BlockID, int]:
        block_id = BlockID(hashlib.sha256(data).digest())
        return block_id, self.gateway.put("blocks", block_id, data)

    def _end_segment(self) -> None:
        """Have the segment of these blocks sent when they are all there; forget what is visible by now."""
        if self._blocks:
            blocks, self._blocks = self._blocks, []
            self._segments.append(self._senders.submit(self._send_segment, blocks))
        while self._segments and self._segments[0].done():
            self._settle_segment()

    def _send_segment(self, blocks: list[_Block]) -> list[Digest]:
        # Its blocks were handed to the same threads before it, so waiting for them here cannot lock up.
        entries: list[tuple[Digest, segment.Location]] = []
        for each in blocks:
            block_id = each.sent.result()[0]
            entries += [(digest, (segment.Extent(block_id, offset, length),)) for digest, offset, length in each.artifacts]
        data = segment.encode(entries, kernel.load().filter)
        self.gateway.put("segments", hashlib.sha256(data).digest(), data)
        return [digest for digest, _extents in entries]

    def _settle_segment(self) -> None:
        for digest in self._segments.popleft().result():
            self._pending.pop(digest, None)
            self._remember(digest)

    def add_parts(self, digest: Digest, parts: Iterable[Buffer]) -> None:
        """Store the artifact with DIGEST whose encoding PARTS make up, each in a block of its own. Waits for all of them."""
        if not self.gateway.missing(digest)[0]:
            self._remember(digest)
            return
        extents, at = [], 0
        for part in parts:
            header = block.Header(kind=block.PART, part_offset=at, part_of=digest).encode()
            data = b"".join((header, part, block.encode_tail(len(part), len(part), ())))
            block_id, _sent = self._send_block(data)
            extents.append(segment.Extent(block_id, 0, len(part)))
            at += len(part)
        data = segment.encode([(digest, extents)], kernel.load().filter)
        self.gateway.put("segments", hashlib.sha256(data).digest(), data)
        self._remember(digest)

    def commit(self) -> State:
        """Make every artifact put so far visible in the domain. Raises AslError."""
        self._ask()
        while self._window:
            self._answered()
        self._end_block()
        self._end_segment()
        while self._segments:
            self._settle_segment()
        self._on_the_way.clear()
        self.bytes_stored = self.gateway.bytes_put
        return self.state

    def find_sealed(self, about: About) -> Optional[Snapshot]:
        """The sealed snapshot with the content, sources and labels of ABOUT, None when there is none."""
        found = self.gateway.find(about.encode())
        if found is None:
            return None
        self.receipt = _receipt(found)
        return _snapshot(found)

    def seal_snapshot(self, about: About) -> Snapshot:
        """Commit, and have the gateway seal what ABOUT names. Acknowledged, with a receipt, when this returns. Raises AslError."""
        self.commit()
        found = self.gateway.seal(about.encode())
        self.receipt = _receipt(found)
        return _snapshot(found)

    def get(self, digest: bytes) -> Artifact:
        """Not possible: a token that adds cannot read."""
        raise Usage("a store that is written through a gateway cannot be read at the same time", reason="REMOTE_WRITE_ONLY")

    def record(self, kind: int, payload: bytes) -> None:
        """Not possible: marks belong to whoever runs the gateway."""
        hint = "run the same command where the store lies"
        raise Usage("pins and tombstones cannot be set through a gateway", reason="REMOTE_WRITE_ONLY", hint=hint)


def _in_parts(head: bytes, payload: Buffer) -> Iterable[Union[bytes, memoryview]]:
    view = memoryview(payload)
    first = LARGE - len(head)
    yield head + bytes(view[:first])
    for at in range(first, len(view), LARGE):
        yield view[at : at + LARGE]


def _receipt(found: dict[str, Any]) -> dict[str, Any]:
    return {"text": found.get("receipt"), "signature": found.get("signature"), "namespace": found.get("namespace")}


def _snapshot(found: dict[str, Any]) -> Snapshot:
    """The snapshot that the gateway's document describes. Raises Unavailable."""
    from asl.formats import canonical

    try:
        about = About.decode(canonical.encode(found["about"]))
        return Snapshot(int(found["snapshot"]), int(found["logseq"]), bytes.fromhex(found["root"]), about)
    except (KeyError, TypeError, ValueError, AslError) as error:
        raise Unavailable(f"the answer of the gateway makes no sense: {error}", reason="GATEWAY") from error
