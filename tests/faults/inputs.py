# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything else that people and machines hand to the tools: settings, maps, jobs, receipts. An answer or a sentence comes, in time;
a fault of the tool itself (INTERNAL) is a broken promise."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from faults.hostile import guarded, mangle, template
from faults.stores import Kind, Points

from asl.cli import main
from asl.formats import canonical, records
from asl.formats.artifact import TAG_RECEIPT, TAG_RESCUE
from asl.formats.snapshot import About
from asl.intake.ledger import key_of
from asl.intake.queue import jobs, submit
from asl.intake.request import Request
from asl.sources.device import DeviceSource
from asl.store import open_writer

CODES = (0, 1, 2, 3, 4, 5)
CONFIG = "mode = local\nlocal.mount = {store}\nremote.endpoint = https://asl-backend\ndomain.id = d\nchunk.average = 64K\nintake.jobs = 2\n"
FEDERATION = "domain.id = d\npeer.b.domain = site-b\npeer.b.endpoint = https://asl-backend.site-b\npeer.b.admit = artifacts\n"
LOGGING = "level = info\ntarget = stderr\nformat = text\n"
MAP = "# Mapfile. Created by GNU ddrescue\n0x00000000     ?               1\n0x00000000  0x00010000  +\n0x00010000  0x00000200  -\n"
MAP += "0x00010200  0x00000E00  /\n0x00011000  0x00005000  *\n0x00016000  0x00010000  ?\n"
WORDS = [
    b"0xffffffffffffffffffff", b"-1", b"0", b"99999999999999999999999999", b"\xff\xfe", b"\0", b"=", b"\n\n", b"+", b"\xe2\x80\xa8", b"1e9",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, -1, 2**63, 2**70, "", "x", "\udcff\n\x1b[2J", [], [[]], [[1, 2, 3]], [[0, 512, "-"]], {}, {"a": {"b": []}}, "9" * 5000,
]  # fmt: skip


def ask(tool: str, *words: str) -> None:
    """Run TOOL in this process with --json and without: it must end with a status that has a meaning, and with an answer."""
    for more in (["--json"], []):
        out, err = io.StringIO(), io.StringIO()
        with guarded(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(tool, [*more, "--quiet", *words])
        said = f"{tool} {' '.join(words)}: {code}: {out.getvalue()[-600:]} {err.getvalue()[-600:]}"
        assert code in CODES, said
        assert "[INTERNAL]" not in err.getvalue() and "Traceback" not in err.getvalue(), said
        if more:
            json.loads(out.getvalue())


@contextmanager
def state(folder: Path) -> Iterator[None]:
    """State and jobs of its own."""
    plain = {"ASL_STATE_DIR": str(folder / "state"), "ASL_RUN_DIR": str(folder / "run"), "ASL_NO_START": "1"}
    with mock.patch.dict(os.environ, plain):
        yield


def garbled(data: bytes, rng: random.Random) -> bytes:
    """DATA mangled, now and then with words in it that parsers stumble over."""
    if rng.random() < 0.5:
        at = rng.randrange(len(data))
        data = data[:at] + rng.choice(WORDS) + data[at + rng.choice([0, 1, 8]) :]
    return mangle(data, rng) if rng.random() < 0.7 else data


def twisted(value: Any, rng: random.Random) -> Any:
    """A JSON value with one thing in it of another kind, or missing."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {name: each for name, each in value.items() if name != key}
        return {**value, key: twisted(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [*value[:at], twisted(value[at], rng), *value[at + 1 :]]
    return rng.choice(VALUES)


def fuzzed_settings(folder: Path, seed: int, rounds: int) -> Points:
    """asl.conf, federation.conf and logging.conf, mangled."""
    store, rng = template(folder, seed), random.Random(seed)
    with state(folder):
        for number in range(40 * rounds):
            text, path = CONFIG.format(store=store).encode(), folder / "asl.conf"
            path.write_bytes(garbled(text, rng))
            ask("asl-admin", "status", "--config", str(path))
            for name, plain in (("federation.conf", FEDERATION), ("logging.conf", LOGGING)):
                with mock.patch(f"asl.paths.{name.split('.', maxsplit=1)[0].upper()}", str(folder / name)):
                    (folder / name).write_bytes(garbled(plain.encode(), rng))
                    path.write_bytes(text)
                    ask("asl-intake", "run", f"tree:{folder / 'source'}", "--store", str(store), "--config", str(path))
            yield f"settings {number}"


def fuzzed_maps(folder: Path, seed: int, rounds: int) -> Points:
    """Mapfiles and domain maps of ddrescue, mangled."""
    store, rng = template(folder, seed), random.Random(seed)
    image, path = folder / "image", folder / "map"
    image.write_bytes(rng.randbytes(0x26000))
    with state(folder):
        for number in range(40 * rounds):
            path.write_bytes(garbled(MAP.encode(), rng))
            words = rng.choice([["--map"], ["--map"], ["--domain-map"], ["--skip-free", "--domain-map"]])
            ask("asl-intake", "run", f"device:{image}", "--store", str(store), *words, str(path))
            yield f"map {number}"


def fuzzed_jobs(folder: Path, seed: int, rounds: int) -> Points:
    """What lies in the queue, mangled, and jobs that are asked about."""
    store, rng = template(folder, seed), random.Random(seed)
    with state(folder):
        ask("asl-intake", "run", f"tree:{folder / 'source'}", "--store", str(store))
        for number in range(40 * rounds):
            job = folder / "state/runtime/queue" / rng.choice(["0123456789abcdef", "x", "\udcff", "0" * 64])
            shutil.rmtree(folder / "state/runtime/queue", ignore_errors=True)
            job.mkdir(parents=True)
            request = {"sources": [f"tree:{folder / 'source'}"], "store": str(store), "domain": "d", "labels": {}, "chunk_average": 65536}
            result = {"snapshot": "1", "digest": "0" * 64, "losses": [], "sources": [], "exit_code": 0, "seconds": 1.5, "bytes_read": 3}
            for name, plain in (("request", request), ("progress", {"phase": "reading", "bytes_done": 3}), ("result", result)):
                if rng.random() < 0.8:
                    text = json.dumps(twisted(plain, rng)).encode()
                    (job / f"{name}.json").write_bytes(garbled(text, rng) if rng.random() < 0.3 else text)
            ask("asl-intake", "status")
            ask("asl-intake", "status", os.fsdecode(job.name))
            ask("asl-intake", "wait", os.fsdecode(job.name), "--timeout", "0")
            ask("asl-intake", "cancel", os.fsdecode(job.name))
            _drained(job, Request((f"tree:{folder / 'source'}",), str(store), "d"))
            yield f"job {number}"


def _drained(bad: Path, request: Request) -> None:
    """The server comes past the BAD job: it ends with a sentence, and the job of REQUEST behind it is done."""
    (bad / "result.json").unlink(missing_ok=True)
    good = submit(request)
    os.utime(good.path("request.json"), (2e9, 2e9))
    with guarded(), contextlib.redirect_stderr(io.StringIO()):
        assert main("asl-intake", ["--quiet", "serve", "--drain"]) == 0
    ends = {each.id: each.document() for each in jobs()}
    assert "snapshot" in ends[good.id]["result"], ends
    reasons = {each["result"].get("reason") if each["finished"] else "NEVER" for each in ends.values()}
    assert not reasons & {"NEVER", "INTERNAL"}, ends


def fuzzed_receipts(folder: Path, seed: int, rounds: int) -> Points:
    """Stores that are sound by every digest, whose receipts and rescue states say what nobody would."""
    made, rng = template(folder, seed), random.Random(seed)
    image = folder / "image"
    image.write_bytes(rng.randbytes(90_000))
    map_path = folder / "map"
    map_path.write_text("0 + 1\n0 4096 +\n4096 512 -\n4608 85392 +\n")
    with state(folder):
        ask("asl-intake", "run", f"device:{image}", "--map", str(map_path), "--store", str(made))
        with open_writer(str(made)) as writer:
            last = writer.state.snapshots[-1].about
            plain = canonical.decode(writer.payload(last.receipt, TAG_RECEIPT), "a receipt")
        with DeviceSource(f"device:{image}", str(image)) as source:
            key = key_of({**source.key(), "chunking": 65536})
        left = {
            "format": "asl-rescue-state", "version": 1, "size": 90_000, "sector": 512, "areas": [[4096, 4608, "-"]], "errors": 1,
            "stretches": [[0, 4096, 2, plain["sources"][0]["root"][4:], 0]], "words": "x",
        }  # fmt: skip
        for number in range(40 * rounds):
            store = folder / "hostile"
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(made, store)
            with open_writer(str(store)) as writer:
                receipt = writer.put(canonical.encode(_fitting(twisted(plain, rng))), TAG_RECEIPT)
                writer.seal_snapshot(About("d", last.manifest, receipt, last.sources, {}, 1, 0, 1, 0))
                known = writer.put(canonical.encode(_fitting(twisted(left, rng))), TAG_RESCUE)
                writer.record(records.RESCUE_STATE, records.encode_rescue(key, known))
            for words in ("snapshots", "show latest", "map latest", "status", "verify", "gc-check", "receipt latest"):
                ask("asl-admin", *words.split(), "--store", str(store))
            ask("asl-intake", "run", f"device:{image}", "--map", str(map_path), "--store", str(store))
            yield f"receipt {number}"


def _fitting(value: Any) -> dict[str, Any]:
    """What canonical JSON can say: an object, integers, text."""
    return value if isinstance(value, dict) else {"sources": value}


KINDS: dict[str, Kind] = {each.__name__: each for each in (fuzzed_settings, fuzzed_maps, fuzzed_jobs, fuzzed_receipts)}
