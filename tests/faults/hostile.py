# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores that somebody made to do harm: whatever is in them, an answer or a sentence comes, in time, and nothing is written outside."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faults.stores import Kind, Points

from asl.backends import layout
from asl.errors import AslError
from asl.formats import block, log, recipe, records, tree
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT, TAG_RECIPE, TAG_TREE
from asl.formats.snapshot import About, Manifest, SourceRoot
from asl.intake.request import Request
from asl.intake.run import run
from asl.names import Digest
from asl.restore import restore_content, restore_tree
from asl.store import Store, init_store, open_store, open_writer, raw, recovery
from asl.store.check import check
from asl.verify import verify

# Seconds one look at a hostile store may take, and memory (bytes of address space) that all of it may take.
HANG, MEMORY = 30, 3 << 30


@contextmanager
def guarded() -> Iterator[None]:
    """Within it a hang is a TimeoutError, and memory is bounded."""

    def hang(*_: object) -> None:
        raise TimeoutError(f"no answer within {HANG} seconds")

    kept, limits = signal.signal(signal.SIGALRM, hang), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, limits[1]))
    signal.alarm(HANG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, kept)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def look(root: Path, into: Path) -> None:
    """Do all that people do with a store; only sentences may come of it, and nothing may be written beside INTO."""
    beside = sorted(os.listdir(into.parent))
    with guarded():
        with suppress(AslError):
            check(raw(str(root)))
        with suppress(AslError):
            store = open_store(str(root))
            verify(store)
            for each in store.snapshots():
                with suppress(AslError):
                    _restore(store, each.manifest, into)
        with suppress(AslError), open_writer(str(root)) as writer:
            writer.put(b"something new")
            writer.commit()
    assert sorted(os.listdir(into.parent)) == beside, "something was written beside the destination"


def _restore(store: Store, manifest: Manifest, into: Path) -> None:
    for number, source in enumerate(manifest.sources):
        target = into / str(number)
        with suppress(AslError):
            if source.root_kind == "tree":
                restore_tree(store, source.root, b"", str(target), overwrite=True)
            elif source.size < 1 << 26:
                restore_content(store, source.root, str(target), size=source.size, overwrite=True)
    for path in into.rglob("*"):
        assert not stat.S_ISBLK(path.lstat().st_mode) or os.geteuid() == 0
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(exist_ok=True)


def template(folder: Path, seed: int) -> Path:
    """A small store with a tree, a disk and two snapshots."""
    rng, source = random.Random(seed), folder / "source"
    (source / "deep").mkdir(parents=True)
    for number in range(12):
        (source / "deep" / f"{number}").write_bytes(rng.randbytes(rng.randrange(1, 3000)))
    (source / "link").symlink_to("deep/1")
    os.link(source / "deep/2", source / "second name")
    (source / "image").write_bytes(rng.randbytes(50_000) + bytes(60_000) + rng.randbytes(20_000))
    root = folder / "template"
    init_store(str(root))
    run(Request((f"tree:{source}",), str(root), "d"))
    run(Request((f"device:{source / 'image'}", f"tree:{source}"), str(root), "d"))
    return root


def mangle(data: bytes, rng: random.Random) -> bytes:
    """DATA with something done to it that a fuzzer would try."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        if not out:
            return bytes(rng.randbytes(rng.randrange(1, 64)))
        at = rng.randrange(len(out))
        choice = rng.randrange(6)
        if choice == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif choice == 1:
            out[at : at + 8] = rng.choice([b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7, b"\0\0\0\x80" * 2])[: len(out) - at]
        elif choice == 2:
            del out[at : at + rng.randrange(1, 40)]
        elif choice == 3:
            out[at:at] = rng.randbytes(rng.randrange(1, 40))
        elif choice == 4:
            end = min(len(out), at + rng.randrange(1, 200))
            out[at:at] = out[at:end]
        else:
            out[at:] = b""
    return bytes(out)


def _each(folder: Path, seed: int, count: int, harm: Callable[[Path, random.Random], str]) -> Points:
    """COUNT copies of a store, each with HARM done to it, each looked at."""
    made = template(folder, seed)
    (folder / "outside").mkdir()
    for number in range(count):
        root, into = folder / "hostile", folder / "outside" / "into"
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(into, ignore_errors=True)
        shutil.copytree(made, root)
        into.mkdir()
        what = harm(root, random.Random(f"{seed}/{number}"))
        look(root, into)
        yield f"{number}: {what}"


def fuzzed_files(folder: Path, seed: int, rounds: int) -> Points:
    """Any file of a store mangled anyhow."""

    def harm(root: Path, rng: random.Random) -> str:
        path = rng.choice(sorted(each for each in root.rglob("*") if each.is_file()))
        data = mangle(path.read_bytes(), rng)
        path.unlink()
        path.write_bytes(data)
        return str(path.relative_to(root))

    return _each(folder, seed, 40 * rounds, harm)


def fuzzed_logs(folder: Path, seed: int, rounds: int) -> Points:
    """Records mangled, with a chain and a head that fit."""

    def harm(root: Path, rng: random.Random) -> str:
        path = root / layout.LOG
        kept = list(log.records(path.read_bytes()[log.HEADER.size :]))
        victim = rng.randrange(len(kept))
        data, position = bytearray(log.FIRST), log.START
        for number, record in enumerate(kept):
            kind, payload = record.kind, record.payload
            if number == victim:
                kind = rng.choice([kind, *records.NAMES]) if rng.random() < 0.3 else kind
                payload = mangle(payload, rng)
            one, position = log.encode(position, kind, payload)
            data += one * (2 if number == victim and rng.random() < 0.1 else 1)
        path.write_bytes(data)
        (root / layout.HEAD).write_bytes(recovery.encode_head(position))
        return f"record {victim + 1}"

    return _each(folder, seed, 40 * rounds, harm)


def _reseal(root: Path, number: int, data: bytes) -> None:
    """Put DATA in the place of segment NUMBER, sealed anew in a log of its own."""
    path = root / layout.segment(number)
    path.unlink()
    path.write_bytes(data)
    whole, position = bytearray(log.FIRST), log.START
    for record in log.records((root / layout.LOG).read_bytes()[log.HEADER.size :]):
        payload = record.payload
        if record.kind == records.SEGMENT_SEAL and records.Seal.decode(payload).segment_id == number:
            payload = records.Seal(number, hashlib.sha256(data).digest()).encode()
        one, position = log.encode(position, record.kind, payload)
        whole += one
    (root / layout.LOG).write_bytes(whole)
    (root / layout.HEAD).write_bytes(recovery.encode_head(position))


def fuzzed_segments(folder: Path, seed: int, rounds: int) -> Points:
    """Segments mangled, with a checksum that fits and a log that seals them."""
    import zlib

    def harm(root: Path, rng: random.Random) -> str:
        path = rng.choice(sorted((root / "segments").iterdir()))
        data = mangle(path.read_bytes(), rng)
        data = data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")
        _reseal(root, int(path.name), data)
        return path.name

    return _each(folder, seed, 40 * rounds, harm)


def fuzzed_blocks(folder: Path, seed: int, rounds: int) -> Points:
    """Blocks mangled, under the name that their bytes have now, taken in by the next writer."""

    def harm(root: Path, rng: random.Random) -> str:
        path = rng.choice(sorted((root / "blocks").glob("*/*")))
        data = mangle(path.read_bytes(), rng)
        if rng.random() < 0.5 and len(data) > block.HEADER.size + block.TRAILER.size:
            data = data[: -block.TRAILER.size] + path.read_bytes()[-block.TRAILER.size :]
        target = root / layout.block(hashlib.sha256(data).digest())
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
        if rng.random() < 0.5:
            path.unlink()
        return target.name

    return _each(folder, seed, 40 * rounds, harm)


NAMES = [b"..", b".", b"", b"a/b", b"/etc", b"\0", b"x" * 255, b"x" * 4000, b"ok", b"deep"]
TARGETS = [b"/", b"../../outside", b"/etc/passwd", b"", b"x" * 5000, b"deep/1"]


def _entry(rng: random.Random, digests: list[Digest]) -> bytes:
    made = tree.Entry(
        rng.choice(NAMES), rng.choice(sorted(tree.TYPE_NAMES)), rng.choice([0o755, 0o7777, 2**31]), rng.choice([0, 2**32 - 1]), 0,
        rng.choice([0, -(2**63), 2**63 - 1]), rng.choice([0, 999_999_999, 2**32 - 1]), rng.choice([0, 5, 2**63, 2**40]),
        (rng.randrange(2**20), rng.randrange(2**20)), rng.choice(TARGETS), ((b"user.x", b"y"),) if rng.random() < 0.3 else (),
        rng.randrange(8), rng.randrange(4), rng.choice(digests),
    )  # fmt: skip
    return tree.encode_entry(made)


def hostile_snapshots(folder: Path, seed: int, rounds: int) -> Points:
    """Whole stores, sound by every digest, whose trees, recipes and manifests say what nobody would: names that lead out, rings,
    sizes that do not fit, depth without end."""

    def harm(root: Path, rng: random.Random) -> str:
        with open_writer(str(root)) as writer:
            digests = [writer.put(b"chunk"), Digest(bytes(32)), Digest(rng.randbytes(32))]
            for _ in range(rng.randrange(1, 30)):
                choice = rng.randrange(5)
                if choice == 0:
                    entries = [
                        recipe.Entry(rng.randrange(4), rng.choice([1, 5, 2**20, 2**55]), rng.choice(digests))
                        for _ in range(rng.randrange(1, 5))
                    ]
                    payload = recipe.encode(rng.choice([0, 1, 5, 255]), entries)
                    tag = TAG_RECIPE
                elif choice == 1:
                    payload, tag = tree.encode_upper(rng.choice([1, 2, 255]), [tree.Branch(rng.choice(digests), 3, b"a")]), TAG_TREE
                else:
                    payload, tag = tree.encode([_entry(rng, digests) for _ in range(rng.randrange(1, 6))]), TAG_TREE
                digests.append(writer.put(mangle(payload, rng) if rng.random() < 0.2 else payload, tag))
            top = tree.Entry(tree.ROOT_NAME, tree.DIRECTORY, content=tree.TREE, digest=digests[-1])
            roots = [writer.put(tree.encode([tree.encode_entry(top)]), TAG_TREE), rng.choice(digests)]
            sources = tuple(SourceRoot("tree", rng.choice(["tree", "recipe"]), each, rng.choice([0, 5, 2**60])) for each in roots)
            manifest = Manifest(sources, {"average": 65536}).encode()
            named = writer.put(mangle(manifest, rng) if rng.random() < 0.2 else manifest, TAG_MANIFEST)
            writer.seal_snapshot(About("d", named, writer.put(b"{}", TAG_RECEIPT), ("tree:/x", "tree:/y"), {}, 1, 0, 1, 0))
        return "a snapshot"

    return _each(folder, seed, 80 * rounds, harm)


KINDS: dict[str, Kind] = {each.__name__: each for each in (fuzzed_files, fuzzed_logs, fuzzed_segments, fuzzed_blocks, hostile_snapshots)}
