# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin receipt and prove: the chain from a signed receipt to every byte, and each of its links when somebody was at it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.admin.support import Taken, text, tool
from unit.prove.support import flip, key, rewrite, signers

from asl import signing
from asl.cli import main
from asl.errors import Damaged
from asl.formats import artifact, canonical, records
from asl.formats.artifact import TAG_RECEIPT
from asl.formats.attestation import Attestation
from asl.formats.log import Record
from asl.formats.snapshot import About
from asl.intake.request import Request
from asl.intake.run import run
from asl.sources.media import Media
from asl.store import init_store, open_writer

Capture = pytest.CaptureFixture[str]


class Bench:
    """A store with two snapshots, a signed receipt of the second one that is kept elsewhere, and the keys."""

    def __init__(self, folder: Path, two: Taken, capsys: Capture) -> None:
        self.folder, self.store, self.two, self._capsys = folder, two.store, two, capsys
        self.operator, self.other = key(folder, "operator"), key(folder, "other")
        self.signers = signers(folder, self.operator)
        self.receipt = folder / "kept.receipt"
        code, self.made = self.admin("receipt", "2", "--output", str(self.receipt), "--sign", str(self.operator))
        assert (code, self.made["changed"]) == (0, True)

    def admin(self, *words: str) -> tuple[int, dict[str, Any]]:
        return tool(self._capsys, "admin", *words, "--store", str(self.store))

    def told(self, *words: str) -> str:
        return text(self._capsys, "admin", *words, "--store", str(self.store))[1]

    def prove(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Of snapshot 2, with all that there is unless WORDS say otherwise."""
        given = words or ("--receipt", str(self.receipt), "--allowed-signers", str(self.signers))
        return self.admin("prove", "2", *given)

    def broken(self, *words: str) -> dict[str, str]:
        """The broken links, by their reasons."""
        code, document = self.prove(*words)
        assert (code, document["ok"], document["verdict"]) == (5, False, "broken")
        assert document["sentence"].startswith("NOT PROVEN: the chain is broken at ")
        return {each["link"]: each["reason"] for each in document["links"] if each["status"] == "broken"}


@pytest.fixture
def bench(tmp_path: Path, two: Taken, capsys: Capture) -> Bench:
    return Bench(tmp_path, two, capsys)


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {each["link"]: each["status"] for each in document["links"]}


def test_a_receipt_says_everything_and_is_always_the_same(bench: Bench) -> None:
    written = bench.receipt.read_bytes()
    attested = Attestation.decode(written)
    result = bench.two.results[1]
    assert (str(attested.snapshot), attested.digest.hex()) == (result["snapshot"], result["digest"])
    intake = dict(attested.intake or {})
    assert artifact.digest(canonical.encode(intake), TAG_RECEIPT) == attested.receipt
    assert {"engine", "kernel", "python", "host", "system", "began", "ended", "request", "sources", "manifest", "result"} <= set(intake)
    assert (intake["result"], intake["manifest"]) == ("complete", f"0001{result['digest']}")
    [from_intake] = result["receipts"]
    assert from_intake["text"].encode() == written, "what the intake handed out is what the store gives later"
    assert (from_intake["by"], from_intake["signature"], from_intake["why"]) == ("host", None, "no key was named")
    again = bench.admin("receipt", "2", "--output", str(bench.receipt), "--sign", str(bench.operator))
    assert (again[0], again[1]["changed"]) == (0, False)
    assert bench.told("receipt", "2").encode() == written


def test_anybody_can_check_a_signed_receipt(bench: Bench) -> None:
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(bench.signers), "-I", "operator@site", "-n", "receipt@asl.rescue"]
    done = subprocess.run([*argv, "-s", f"{bench.receipt}.sig"], input=bench.receipt.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_receipt_never_overwrites(bench: Bench) -> None:
    code, document = bench.admin("receipt", "1", "--output", str(bench.receipt))
    assert (code, document["reason"]) == (3, "EXISTS")
    code, document = bench.admin("receipt", "2", "--output", str(bench.receipt), "--sign", str(bench.other))
    assert (code, document["reason"]) == (3, "EXISTS"), "the signature of somebody else is not replaced"
    assert main("asl-admin", ["receipt", "2", "--sign", str(bench.other), "--store", str(bench.store)]) == 2


def test_proven_holds_and_whose_word_it_is(bench: Bench) -> None:
    code, document = bench.prove()
    assert (code, document["verdict"], set(statuses(document).values())) == (0, "proven", {"held"})
    assert document["signer"]["principal"] == "operator@site" and document["signer"]["key"].startswith("ED25519 key SHA256:")
    assert "signed by operator@site" in document["sentence"]
    assert (document["files"], document["damaged"], document["unread"]) == (bench.two.results[1]["files"], [], [])
    code, document = bench.prove("--receipt", str(bench.receipt))
    assert (code, document["verdict"], document["signer"]["principal"]) == (0, "holds", None)
    (bench.folder / "unsigned").write_bytes(bench.receipt.read_bytes())
    code, document = bench.prove("--receipt", str(bench.folder / "unsigned"))
    assert (code, document["verdict"], statuses(document)["signature"]) == (0, "holds", "absent")
    assert "nobody signed" in document["sentence"]
    code, document = bench.admin("prove", "latest")
    assert (code, document["verdict"], statuses(document)["receipt"]) == (0, "holds", "absent")
    assert "the store's own word" in document["sentence"]
    printed = bench.told("prove", "2", "--receipt", str(bench.receipt), "--allowed-signers", str(bench.signers))
    assert printed.splitlines()[-1].startswith("PROVEN: snapshot 2 is, byte for byte,")


def test_later_snapshots_and_pins_change_nothing(bench: Bench) -> None:
    (bench.folder / "more").write_bytes(b"more")
    run(Request((f"tree:{bench.folder}/more",), str(bench.store), "d"))
    bench.admin("pin", "2")
    assert bench.prove()[1]["verdict"] == "proven"
    code, document = bench.admin("prove", "latest", "--receipt", str(bench.receipt))
    assert (code, document["reason"]) == (2, "OTHER_SNAPSHOT")


# Somebody was at it.


def test_every_byte_of_the_receipt_counts(bench: Bench) -> None:
    """Without any signature: the digests in it, or the log, tell."""
    before = bench.receipt.read_bytes()
    seen = set()
    for at in random.Random(3).sample(range(len(before)), 60):
        (bench.folder / "changed").write_bytes(before)
        flip(bench.folder / "changed", at)
        code, document = bench.prove("--receipt", str(bench.folder / "changed"))
        if code == 2:
            assert document["reason"] == "OTHER_SNAPSHOT"
            continue
        found = {each["link"] for each in document["links"] if each["status"] == "broken"}
        assert (code, bool(found & {"receipt", "log"})) == (5, True), (at, document["sentence"])
        seen |= found
    assert seen == {"receipt", "log"}
    flip(bench.receipt, len(before) // 2)
    assert bench.broken()["signature"] == "BAD_SIGNATURE"


def test_a_signature_of_somebody_else_or_of_something_else(bench: Bench) -> None:
    given = ("--receipt", str(bench.receipt))
    only_other = bench.folder / "only-other"
    only_other.write_text(f"other@site {bench.other.with_suffix('.pub').read_text()}")
    assert bench.broken(*given, "--allowed-signers", str(only_other)) == {"signature": "BAD_SIGNATURE"}
    both = signers(bench.folder, bench.operator, bench.other)
    assert bench.prove(*given, "--allowed-signers", str(both), "--identity", "operator@site")[1]["verdict"] == "proven"
    assert bench.broken(*given, "--allowed-signers", str(both), "--identity", "other@site") == {"signature": "BAD_SIGNATURE"}
    first = bench.folder / "first"
    bench.admin("receipt", "1", "--output", str(first), "--sign", str(bench.operator))
    assert bench.broken(*given, "--signature", f"{first}.sig") == {"signature": "BAD_SIGNATURE"}
    for wrong in (b"", b"junk", b"\xff\x00"):
        (bench.folder / "junk").write_bytes(wrong)
        for more in ((), ("--allowed-signers", str(both))):
            assert bench.broken(*given, "--signature", str(bench.folder / "junk"), *more) == {"signature": "BAD_SIGNATURE"}


def test_a_log_that_was_damaged(bench: Bench) -> None:
    log = bench.store / "logs" / "asl.log"
    flip(log, log.stat().st_size // 2)
    code, document = bench.prove()
    assert (code, document["verdict"], document["snapshot"]) == (5, "broken", "2")
    assert statuses(document)["log"] == "broken" and statuses(document)["content"] == "not_checked"
    assert statuses(document)["signature"] == "held", "what can be said is said"
    log.unlink()
    assert set(bench.broken()) == {"log"}


def test_a_log_that_was_rewritten_so_that_it_fits(bench: Bench) -> None:
    """Every hash is right: only a receipt from elsewhere tells."""

    def change(record: Record) -> bytes:
        if record.kind != records.SNAPSHOT_ANCHOR:
            return record.payload
        anchor = records.Anchor.decode(record.payload)
        about = About.decode(anchor.about)
        return anchor._replace(about=about._replace(labels={"host": "another"}).encode()).encode()

    rewrite(bench.store, change)
    code, document = bench.admin("prove", "1")
    assert (code, document["verdict"]) == (0, "holds")
    assert bench.broken("--receipt", str(bench.receipt))["log"] == "OTHER_LOG"


def test_a_log_in_which_the_snapshot_is_not_any_more(bench: Bench) -> None:
    shutil.rmtree(bench.store)
    init_store(str(bench.store))
    assert bench.broken() == {"log": "OTHER_LOG"}
    code, document = bench.admin("prove", "2")
    assert (code, document["reason"]) == (4, "NO_SNAPSHOT")


def test_no_store_is_no_broken_chain(bench: Bench) -> None:
    shutil.rmtree(bench.store)
    code, document = bench.prove()
    assert (code, document["reason"]) == (4, "NO_STORE")


def names(bench: Bench, folder: str) -> Iterator[Path]:
    yield from sorted(path for path in (bench.store / folder).rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("folder", "link", "reason"),
    [("segments", "segments", "BAD_SEGMENT"), ("blocks", "blocks", "DAMAGED_BLOCK"), ("snapshots", "checkpoint", "BAD_SNAPSHOT")],
)
def test_a_byte_of_what_lies_in_the_store(bench: Bench, folder: str, link: str, reason: str) -> None:
    path = list(names(bench, folder))[-1]
    before, size = path.read_bytes(), path.stat().st_size
    # The first and the last bytes are headers, checksums, tables.
    for at in [0, 9, size - 1, size - 30, *random.Random(5).sample(range(size), 6)]:
        flip(path, at, at % 8)
        found = bench.broken()
        assert link in found and (found[link] == reason or at < 16), (at, found)
        path.write_bytes(before)
    assert bench.prove()[1]["verdict"] == "proven"


def test_content_that_is_lost_is_named(bench: Bench) -> None:
    for path in names(bench, "blocks"):
        path.unlink()
    found = bench.broken()
    assert (found["blocks"], found["content"]) == ("MISSING_BLOCK", "MISSING_BLOCK")


def test_a_checkpoint_file_that_is_gone_costs_speed_only(bench: Bench) -> None:
    for path in names(bench, "snapshots"):
        path.unlink()
    assert bench.prove()[1]["verdict"] == "proven"


def test_the_store_of_somebody_else(bench: Bench, tmp_path: Path) -> None:
    """The same tree, taken elsewhere: equal content, another log."""
    init_store(str(tmp_path / "elsewhere"))
    for result in bench.two.results:
        source, labels = result["sources"][0]["source"], result["labels"]
        run(Request((source,), str(tmp_path / "elsewhere"), "d", labels))
    bench.store = tmp_path / "elsewhere"
    assert bench.broken() == {"log": "OTHER_LOG"}
    assert "the store has another id" in bench.prove()[1]["sentence"]


def test_a_receipt_that_says_another_thing_than_the_manifest(bench: Bench) -> None:
    """A forger with the operator's key would still have to change the log: what he says of the intake is bound by its digest."""
    value = json.loads(bench.receipt.read_bytes())
    value["intake"]["sources"][0]["bytes_unread"] = 4096
    with pytest.raises(Damaged):
        Attestation.decode(canonical.encode(value))
    value["receipt"] = f"0001{artifact.digest(canonical.encode(value['intake']), TAG_RECEIPT).hex()}"
    forged = bench.folder / "forged"
    forged.write_bytes(canonical.encode(value))
    assert bench.broken("--receipt", str(forged)) == {"log": "OTHER_LOG", "receipt": "BAD_RECEIPT"}


# What is not there.


def test_without_ssh_keygen_it_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bench.folder))
    for words in (("prove", "2", "--receipt", str(bench.receipt)), ("receipt", "1", "--sign", str(bench.operator), "--output", "/nowhere")):
        code, document = bench.admin(*words)
        assert (code, document["reason"]) == (4, "NO_SSH_KEYGEN")
        assert "openssh-client" in document["hint"]
    assert bench.admin("prove", "2")[0] == 0, "what needs none goes on"
    result = run(Request((f"tree:{bench.operator}",), str(bench.store), "d", sign=str(bench.operator)))
    assert (result["exit_code"], result["receipts"][0]["signature"]) == (0, None)
    assert "no ssh-keygen" in result["receipts"][0]["why"], "a receipt that is not signed fails no intake"


def test_an_intake_signs_what_it_hands_out(bench: Bench) -> None:
    result = run(Request((f"tree:{bench.operator}",), str(bench.store), "d", sign=str(bench.operator)))
    [receipt] = result["receipts"]
    place = bench.folder / "handed-out"
    place.write_text(receipt["text"])
    place.with_name("handed-out.sig").write_text(receipt["signature"])
    words = ("prove", result["snapshot"], "--receipt", str(place), "--allowed-signers", str(bench.signers))
    assert bench.admin(*words)[1]["verdict"] == "proven"


def test_a_key_with_a_passphrase_is_refused_at_once(bench: Bench) -> None:
    code, document = bench.admin("receipt", "1", "--output", str(bench.folder / "x"), "--sign", str(key(bench.folder, "locked", "word")))
    assert (code, document["reason"]) == (4, "SIGN") and "passphrase" in document["error"]
    assert not (bench.folder / "x").exists()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """An ssh-agent, and how to give it a key."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield lambda path: subprocess.run(["ssh-add", "-q", str(path)], check=True, capture_output=True).check_returncode()
        process.terminate()


def test_the_key_may_be_in_an_agent(bench: Bench, agent: Callable[[Path], None]) -> None:
    agent(bench.operator)
    bench.operator.unlink()
    out = bench.folder / "by-agent"
    assert bench.admin("receipt", "2", "--output", str(out), "--sign", str(bench.operator.with_suffix(".pub")))[0] == 0
    assert bench.prove("--receipt", str(out), "--allowed-signers", str(bench.signers))[1]["verdict"] == "proven"


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("--allowed-signers", "/nowhere"), 2, "NO_RECEIPT"),
        (("--receipt", "/nowhere"), 4, "RECEIPT_UNREADABLE"),
        (("--receipt", "KEPT", "--allowed-signers", "/nowhere"), 4, "SIGNERS"),
        (("--receipt", "KEPT", "--identity", "x"), 2, "SIGNERS"),
        (("--receipt", "PLAIN", "--allowed-signers", "KEPT"), 2, "NO_SIGNATURE"),
    ],
)
def test_what_cannot_be_meant(bench: Bench, words: tuple[str, ...], code: int, reason: str) -> None:
    plain = bench.folder / "plain"
    plain.write_bytes(bench.receipt.read_bytes())
    given = [{"KEPT": str(bench.receipt), "PLAIN": str(plain)}.get(word, word) for word in words]
    found, document = bench.prove(*given)
    assert (found, document["reason"]) == (code, reason)


def test_what_was_not_read_is_no_part_of_it(bench: Bench) -> None:
    image, rescued = bench.folder / "image", bench.folder / "map"
    image.write_bytes(random.Random(1).randbytes(1 << 20))
    rescued.write_text("0x0 + 1\n0x0 0x80000 +\n0x80000 0x600 -\n0x80600 0x7FA00 +\n")
    result = run(Request((f"device:{image}",), str(bench.store), "d", media=Media(map=str(rescued))))
    code, document = bench.admin("prove", result["snapshot"])
    assert (code, document["unread"]) == (0, [{"source": f"device:{image}", "bytes": 0x600, "ranges": [[0x80000, 0x600]]}])
    assert "not read, and no part of it" in bench.told("prove", result["snapshot"])


def test_no_verdict_speaks_of_all_bytes_where_some_were_never_read(bench: Bench) -> None:
    """Whoever made the receipt: that of a gateway does not have the intake in it."""
    image, rescued = bench.folder / "image", bench.folder / "map"
    image.write_bytes(random.Random(1).randbytes(1 << 20))
    rescued.write_text("0x0 + 1\n0x0 0x80000 +\n0x80000 0x600 -\n0x80600 0x7FA00 +\n")
    made = run(Request((f"device:{image}",), str(bench.store), "d", media=Media(map=str(rescued))))
    [own] = made["receipts"]
    gateway = {**json.loads(own["text"]), "intake": None}
    for name, receipt_text in (("own", own["text"].encode()), ("gateway", canonical.encode(gateway))):
        receipt = bench.folder / name
        receipt.write_bytes(receipt_text)
        signature = signing.sign(receipt_text, str(bench.operator))
        receipt.with_name(f"{name}.sig").write_text(signature)
        given = ("--receipt", str(receipt), "--allowed-signers", str(bench.signers))
        for words in ((), given[:2], given):
            code, document = bench.admin("prove", made["snapshot"], *words)
            assert (code, document["ok"], document["complete"]) == (0, True, False), document["sentence"]
            assert document["unread"] == [{"source": f"device:{image}", "bytes": 0x600, "ranges": [[0x80000, 0x600]]}]
            assert " FOR WHAT WAS READ: " in document["sentence"] and "1536 bytes of its sources were never read" in document["sentence"]
    assert document["verdict"] == "proven"


def test_files_that_were_lost_are_said_too(bench: Bench) -> None:
    with open_writer(str(bench.store)) as writer:
        about = writer.state.snapshots[-1].about
        lossy = about._replace(losses=2)
        number = str(writer.seal_snapshot(lossy).id)
    _code, document = bench.admin("prove", number)
    assert (document["ok"], document["complete"], document["unread"]) == (True, False, [])
    assert "2 losses of its intake are no part of it" in document["sentence"]
    assert bench.prove()[1]["complete"] is True
