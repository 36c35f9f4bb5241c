# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three configuration files: what they accept, what they refuse, and how they say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from asl.config import Config, load, load_federation, load_logging
from asl.config.main import keys
from asl.config.values import show_size
from asl.errors import Refused, Usage
from asl.kernel import zstd

ETC = Path(__file__).parents[3] / "overlay/etc/asl"


def write(folder: Path, text: str) -> str:
    path = folder / "asl.conf"
    path.write_text(text)
    return str(path)


def refused(folder: Path, text: str) -> Usage:
    with pytest.raises(Usage) as caught:
        load(write(folder, text))
    assert caught.value.reason == "CONFIG_INVALID"
    assert caught.value.exit_code == 2
    return caught.value


def test_shipped_file_says_the_defaults() -> None:
    assert load(str(ETC / "asl.conf")) == Config()
    assert Config().block_level == zstd.LEVEL


@pytest.mark.parametrize("key", sorted(keys()))
def test_shipped_file_shows_every_key_with_its_default(key: str, tmp_path: Path) -> None:
    lines = [line.lstrip("# ") for line in (ETC / "asl.conf").read_text().splitlines() if line.lstrip("# ").startswith(f"{key} =")]
    assert len(lines) == 1
    assert load(write(tmp_path, lines[0])) == Config()


def test_shipped_federation_and_logging_say_the_defaults() -> None:
    assert load_federation(str(ETC / "federation.conf")) == load_federation(None)
    assert load_logging(str(ETC / "logging.conf")) == load_logging(None)


def test_every_field_has_a_key() -> None:
    assert {key.field for key in keys().values()} == set(Config._fields)


def test_a_whole_file(tmp_path: Path) -> None:
    text = """
        mode = remote                     # comment
        local.mount = /srv/store/
        local.approved = 18446744073709551615, 12
        remote.endpoint = https://[2001:db8::1]:8443/asl/
        remote.token-file = /run/asl/token
        chunk.average=32 KiB
        block.size = 16MiB
        intake.jobs = 3
        intake.bandwidth = 50MiB/s
    """
    config = load(write(tmp_path, text))
    assert config.mode == "remote"
    assert config.local_mount == "/srv/store"
    assert config.local_approved == ("18446744073709551615", "12")
    assert config.remote_endpoint == "https://[2001:db8::1]:8443/asl"
    assert (config.chunk_average, config.block_size, config.intake_bandwidth) == (32768, 16 << 20, 50 << 20)
    assert config.workers == 3


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("mode = atuo", "auto, local, remote"),
        ("mode = Auto", "auto, local, remote"),
        ("mode =", "not empty"),
        ("local.mount = mnt", "absolute path"),
        ("local.mount = /", "absolute path"),
        ("local.mount = /mnt/../etc", "absolute path"),
        ("local.approved = rescuepool", "decimal 64-bit"),
        ("local.approved = 0x10", "decimal 64-bit"),
        ("local.approved = 18446744073709551616", "decimal 64-bit"),
        ("local.approved = 5 5", "twice"),
        ("local.pool = 1pool", "pool name"),
        ("local.pool = mirror-1", "pool name"),
        ("local.dataset = /asl", "dataset name"),
        ("local.dataset = a/../b", "dataset name"),
        ("remote.endpoint = http://asl-backend", "https://"),
        ("remote.endpoint = asl-backend", "https://"),
        ("remote.endpoint = https://", "name a host"),
        ("remote.endpoint = https://a b", "name a host"),
        ("remote.endpoint = https://host:70000", "URL"),
        ("remote.endpoint = https://host:0", "name a host"),
        ("remote.endpoint = https://host/?a", "`?`"),
        ("remote.ca = roots.pem", "absolute path"),
        ("remote.token-file = /etc/asl/token", "under /run/asl"),
        ("domain.id = Rescue", "a-z"),
        ("domain.id = a/b", "a-z"),
        ("domain.id = a..b", "a-z"),
        ("chunk.average = 64KB", "KiB"),
        ("chunk.average = 48KiB", "power of two"),
        ("chunk.average = 1KiB", "between 4KiB and 4MiB"),
        ("block.size = 1GiB", "between 1MiB and 64MiB"),
        ("chunk.average = 4MiB\nblock.size = 8MiB", "four times"),
        ("block.level = 0", "from 1 to 19"),
        ("block.level = 20", "from 1 to 19"),
        ("intake.jobs = -1", "from 0 to 256"),
        ("intake.jobs = ٣", "from 0 to 256"),
        ("intake.bandwidth = 10", "64KiB"),
        ("mode = remote", "remote.endpoint is not set"),
        ("remote.mount = mnt", "absolute path"),
        ("remote.endpoint = https://a\nremote.mount = /mnt/asl/remote", "both set"),
        ("just words", "`key = value`"),
        ("= auto", "not a key"),
        ("mode = a\x07b", "control character"),
    ],
)
def test_bad_values_name_file_and_line(line: str, says: str, tmp_path: Path) -> None:
    error = refused(tmp_path, "# first line\n\n" + line)
    assert f"{tmp_path}/asl.conf:{2 + len(line.splitlines())}: " in error.message
    assert says in error.message


@pytest.mark.parametrize(("key", "near"), [("mdoe", "mode"), ("local.aproved", "local.approved"), ("remote.endpiont", "remote.endpoint")])
def test_an_unknown_key_gets_the_nearest_one(key: str, near: str, tmp_path: Path) -> None:
    error = refused(tmp_path, f"{key} = x")
    assert error.message == f"{tmp_path}/asl.conf:1: unknown key {key}"
    assert error.hint == f"did you mean {near}?"


def test_a_key_twice_names_both_lines(tmp_path: Path) -> None:
    error = refused(tmp_path, "mode = auto\n# again\nmode = auto")
    assert ":3: mode stands a second time" in error.message
    assert "asl.conf:1)" in error.message


@pytest.mark.parametrize("key", ["remote.token", "remote.password", "s3.secret", "token", "peer.api-key"])
def test_secrets_are_refused_and_not_shown(key: str, tmp_path: Path) -> None:
    error = refused(tmp_path, f"{key} = hunter2")
    assert "looks like a secret" in error.message
    assert "remote.token-file" in (error.hint or "")
    assert "hunter2" not in f"{error.message}{error.hint}"


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    error = refused(tmp_path, "remote.endpoint = https://user:hunter2@asl-backend")
    assert "user name or password" in error.message
    assert "hunter2" not in error.message


def test_not_utf8_and_too_large(tmp_path: Path) -> None:
    path = tmp_path / "asl.conf"
    path.write_bytes(b"mode = auto\ndomain.id = \xff\n")
    with pytest.raises(Usage, match=r":2: is not UTF-8"):
        load(str(path))
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(Usage, match="larger than 1 MiB"):
        load(str(path))


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="no such file") as caught:
        load(str(tmp_path / "none.conf"))
    assert caught.value.reason == "CONFIG_INVALID"


def test_overrides_win_and_are_named_in_errors(tmp_path: Path) -> None:
    path = write(tmp_path, "mode = local\nintake.jobs = 2")
    assert load(path, {"intake.jobs": "7"}) == Config(mode="local", intake_jobs=7)
    with pytest.raises(Usage, match=r"^--set intake\.jobs: intake\.jobs must be a number"):
        load(path, {"intake.jobs": "many"})
    with pytest.raises(Usage, match="looks like a secret"):
        load(path, {"remote.token": "x"})


def test_a_hash_inside_a_word_is_no_comment(tmp_path: Path) -> None:
    assert "#" in refused(tmp_path, "remote.endpoint = https://a#b").message


@pytest.mark.parametrize(("number", "shown"), [(0, "0"), (1000, "1000"), (65536, "64KiB"), (3 << 20, "3MiB"), (1 << 40, "1TiB")])
def test_sizes_are_shown_as_they_are_written(number: int, shown: str) -> None:
    assert show_size(number) == shown


def test_federation_peers_sorted_and_admitting_nothing_by_default(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "peer.z.domain = zone\npeer.z.endpoint = https://z\npeer.a.domain = alpha\npeer.a.endpoint = https://a\npeer.a.admit = snapshots\n",
    )
    federation = load_federation(path, domain_id="mine")
    assert [(peer.name, peer.domain, peer.admit) for peer in federation.peers] == [("a", "alpha", "snapshots"), ("z", "zone", "none")]
    assert federation.domain_id == "mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("peer.a.endpoint = https://a", "has no peer.a.domain"),
        ("peer.a.domain = alpha\npeer.a.token-file = /etc/asl/token", "under /run/asl"),
        ("peer.a.domain = rescue-domain\npeer.a.endpoint = https://a", "own domain"),
        ("peer.a.admit = all", "none, artifacts, snapshots"),
        ("peer.a.endpiont = https://a", "unknown key peer.a.endpiont"),
        ("peers = a", "unknown key peers"),
    ],
)
def test_federation_refuses(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(Usage) as caught:
        load_federation(write(tmp_path, text))
    assert says in caught.value.message


def test_what_is_admitted_decides_what_may_be_read(tmp_path: Path) -> None:
    text = "".join(f"peer.{name}.domain = {name}\npeer.{name}.admit = {name}\n" for name in ("none", "artifacts", "snapshots"))
    federation = load_federation(write(tmp_path, text))
    assert [peer.name for peer in federation.admitted] == ["artifacts", "snapshots"]
    assert federation.peer_to_read("snapshots").domain == "snapshots"
    for name in ("none", "artifacts"):
        with pytest.raises(Refused) as refusal:
            federation.peer_to_read(name)
        assert refusal.value.reason == "PEER_NOT_ADMITTED"
    with pytest.raises(Usage, match="no peer other"):
        federation.peer_to_read("other")


def test_logging(tmp_path: Path) -> None:
    path = write(tmp_path, f"level = debug\ntarget = {tmp_path}/state/asl.log\nformat = json")
    assert load_logging(path).target == f"{tmp_path}/state/asl.log"
    for bad in ("/var/log/asl.log", "/var/lib/asl", "syslog"):
        with pytest.raises(Usage, match="file under /var/lib/asl"):
            load_logging(write(tmp_path, f"target = {bad}"))
