# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine: commands with a deadline, mounts, block devices, atomic files.

Everything that reads /proc, /sys or /run takes ``root``, the folder that stands for ``/``, so that it also reads a recorded tree.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional

from asl.errors import Unavailable

if TYPE_CHECKING:
    import subprocess

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
GRACE = 2.0  # seconds a killed process gets to disappear; one that hangs in the kernel does not


# --- commands ---------------------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """How a command ended. ``rc`` is negative for a signal (as in subprocess) and None when it could not even be killed:
    then ``pid`` is still there."""

    argv: tuple[str, ...]
    rc: Optional[int]
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    pid: Optional[int] = None

    @property
    def words(self) -> str:
        """The tool's own words on one line: its stderr, else its stdout, else how it ended."""
        said = " ".join((self.stderr.strip() or self.stdout.strip()).decode("utf-8", "replace").split())
        if self.timed_out:
            return f"no answer within {self.seconds:.0f} seconds" + (f" ({said})" if said else "")
        return said or f"ended with status {self.rc} and said nothing"

    def check(self, what: str, *, hint: Optional[str] = None) -> Result:
        """Itself when the command succeeded, else Unavailable: "``what``: the tool's own words" (COMMAND_FAILED, COMMAND_TIMEOUT)."""
        if self.rc == 0 and not self.timed_out:
            return self
        reason = "COMMAND_TIMEOUT" if self.timed_out else "COMMAND_FAILED"
        raise Unavailable(f"{what}: {self.argv[0]}: {self.words}", reason=reason, hint=hint, argv=list(self.argv), rc=self.rc)


def run(argv: Sequence[str], deadline: float, *, stdin: bytes = b"", env: Optional[Mapping[str, str]] = None) -> Result:
    """Run a command to its end, or kill its whole process group after ``deadline`` seconds. Never a shell; LC_ALL=C.

    ``env`` is added to PATH and LC_ALL; nothing else of our own environment is passed on. Raises Unavailable (TOOL_MISSING)
    when there is no such tool; any other outcome is in the Result.
    """
    import subprocess  # not at the start of each tool: most of what is asked of the system needs no other program

    tool = find_tool(argv[0])
    if tool is None:
        raise Unavailable(f"cannot run {argv[0]}: there is no such tool on this system", reason="TOOL_MISSING", tool=argv[0])
    environment = {"PATH": SEARCH, "LC_ALL": "C", **(env or {})}
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            [tool, *argv[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"cannot run {argv[0]}: {error.strerror or error}", reason="TOOL_MISSING", tool=argv[0]) from error
    timed_out = False
    try:
        out, err = process.communicate(stdin, timeout=deadline)
    except subprocess.TimeoutExpired:
        timed_out = True
        out, err = _kill(process)
    except BaseException:
        _kill(process)
        raise
    return Result(tuple(argv), process.returncode, out, err, time.monotonic() - began, timed_out, process.pid)


def _kill(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Kill the process group and take what was printed; a process stuck in the kernel is left behind, not waited for."""
    import subprocess

    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired as error:
        return error.stdout or b"", error.stderr or b""


def find_tool(name: str, root: str = "/") -> Optional[str]:
    """The path of a tool as seen inside ``root``, or None. A name with a slash is only checked."""
    for folder in [""] if "/" in name else SEARCH.split(":"):
        inside = os.path.join(folder, name)
        if os.path.isfile(under(root, inside)) and os.access(under(root, inside), os.X_OK):
            return inside
    if root != "/" or "/" in name:
        return None
    import shutil

    return shutil.which(name)


# --- files ------------------------------------------------------------------------------------------------------------------


def under(root: str, path: str) -> str:
    """An absolute path of the machine, looked at inside ``root``."""
    return path if root == "/" else os.path.join(root, path.lstrip("/"))


def read_text(path: str, root: str = "/") -> Optional[str]:
    """A small file of /proc, /sys or /etc without its last newline, or None when it is not there or refuses to be read."""
    data = read_bytes(path, root)
    return None if data is None else data.decode("utf-8", "surrogateescape").rstrip("\n")


def read_bytes(path: str, root: str = "/") -> Optional[bytes]:
    """As read_text, but bytes."""
    try:
        with open(under(root, path), "rb") as file:
            return file.read()
    except OSError:
        return None


def listing(path: str, root: str = "/") -> list[str]:
    """The sorted names in a folder; none when there is no such folder."""
    try:
        return sorted(os.listdir(under(root, path)))
    except OSError:
        return []


def replace_file(path: str, data: bytes, mode: int = 0o644) -> None:
    """Put a whole file in place: temporary file beside it, fsync, rename, fsync of the folder. A reader sees the old or the new one.

    Raises OSError; then the old file is still there. Only a folder that cannot be synced at all (EINVAL) is forgiven.
    """
    import tempfile

    folder = os.path.dirname(path) or "."
    handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(folder)


def sync_folder(path: str) -> None:
    """fsync of a folder, so that its names are durable. EINVAL (a file system without it) is forgiven, EIO never."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def boot_id(root: str = "/") -> str:
    """The kernel's id of this boot; empty when there is none."""
    return read_text("/proc/sys/kernel/random/boot_id", root) or ""


def machine_id(root: str = "/") -> str:
    """What tells this machine from others, whatever is booted on it: the UUID or serial number of its firmware, else that of this boot."""
    told = (read_text(path, root) for path in ("/sys/class/dmi/id/product_uuid", "/sys/firmware/devicetree/base/serial-number"))
    return next((each for each in told if each), "") or boot_id(root)


# --- mounts -----------------------------------------------------------------------------------------------------------------


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo (proc_pid_mountinfo(5)). Paths are decoded; bytes that are no UTF-8 are surrogates."""

    mount_id: int
    parent_id: int
    devno: str  # major:minor
    root: str  # what of the file system is mounted; "/" is all of it
    mount_point: str
    options: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]

    @property
    def writable(self) -> bool:
        """Whether the file system itself may be written. A read-only bind mount of a writable one is still written by the kernel."""
        return "rw" in self.super_options if self.super_options else "rw" in self.options


def mounts(root: str = "/", *, process: str = "self") -> list[Mount]:
    """All mounts as a process sees them, in the kernel's order: of two on one mount point the later one is seen."""
    text = read_text(f"/proc/{process}/mountinfo", root) or ""
    return [mount for mount in map(_mount, text.splitlines()) if mount is not None]


def _mount(line: str) -> Optional[Mount]:
    left, separator, right = line.partition(" - ")
    first, last = left.split(" "), right.split(" ")
    if not separator or len(first) < 6 or len(last) < 2:
        return None
    return Mount(
        mount_id=int(first[0]),
        parent_id=int(first[1]),
        devno=first[2],
        root=unescape(first[3]),
        mount_point=unescape(first[4]),
        options=tuple(first[5].split(",")),
        fstype=last[0],
        source=unescape(last[1]),
        super_options=tuple(last[2].split(",")) if len(last) > 2 else (),
    )


def mount_at(path: str, all_mounts: Sequence[Mount]) -> Optional[Mount]:
    """The mount that a path lies on: the longest mount point above it, the latest of equals."""
    best: Optional[Mount] = None
    for mount in all_mounts:
        above = path == mount.mount_point or path.startswith(mount.mount_point.rstrip("/") + "/")
        if above and (best is None or len(mount.mount_point) >= len(best.mount_point)):
            best = mount
    return best


def unescape(text: str) -> str:
    r"""The octal escapes ``\040`` that /proc uses for space, tab, newline, backslash and ``#``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


# --- block devices ----------------------------------------------------------------------------------------------------------


class BlockDevice(NamedTuple):
    """A disk, a partition or a virtual block device as sysfs shows it. Sizes and starts are bytes."""

    name: str
    devno: str
    size: int
    read_only: bool
    removable: bool = False
    rotational: Optional[bool] = None
    model: Optional[str] = None
    serial: Optional[str] = None
    wwn: Optional[str] = None
    parent: Optional[str] = None  # of a partition: the name of its disk
    number: Optional[int] = None  # of a partition
    start: int = 0
    holders: tuple[str, ...] = ()  # devices on top of it (dm, md)
    slaves: tuple[str, ...] = ()  # devices below it
    backing_file: Optional[str] = None  # of a loop device
    partitions: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its node in /dev; the kernel writes a slash as ``!``."""
        return "/dev/" + self.name.replace("!", "/")


def block_devices(root: str = "/") -> list[BlockDevice]:
    """All block devices, each disk followed by its partitions. Devices of size 0 (an empty drive, a free loop device) are among them."""
    found: list[BlockDevice] = []
    for name in listing("/sys/block", root):
        folder = f"/sys/block/{name}"
        numbers = {}
        for part in listing(folder, root):
            number = read_text(f"{folder}/{part}/partition", root)
            if number is not None and number.isdigit():
                numbers[part] = int(number)
        ordered = sorted(numbers, key=lambda part: numbers[part])
        found.append(_block_device(name, folder, root, partitions=tuple(ordered)))
        found.extend(_block_device(part, f"{folder}/{part}", root, parent=name, number=numbers[part]) for part in ordered)
    return found


def _block_device(
    name: str, folder: str, root: str, *, parent: Optional[str] = None, number: Optional[int] = None, partitions: tuple[str, ...] = ()
) -> BlockDevice:
    udev = _udev(read_text(f"{folder}/dev", root), root)
    disk = folder if parent is None else os.path.dirname(folder)
    rotational = read_text(f"{disk}/queue/rotational", root)
    return BlockDevice(
        name=name,
        devno=read_text(f"{folder}/dev", root) or "",
        size=_number(f"{folder}/size", root) * 512,  # sysfs counts sectors of 512 bytes, whatever the disk's own are
        read_only=_number(f"{folder}/ro", root) != 0 or _number(f"{disk}/ro", root) != 0,
        removable=_number(f"{disk}/removable", root) != 0,
        rotational=None if rotational is None else rotational == "1",
        model=_first(read_text(f"{disk}/device/model", root), udev.get("ID_MODEL")),
        serial=_first(
            read_text(f"{disk}/device/serial", root), read_text(f"{disk}/serial", root), udev.get("ID_SERIAL_SHORT"), _page80(disk, root)
        ),
        wwn=_first(read_text(f"{disk}/device/wwid", root), read_text(f"{disk}/wwid", root), udev.get("ID_WWN")),
        parent=parent,
        number=number,
        start=_number(f"{folder}/start", root) * 512,
        holders=tuple(listing(f"{folder}/holders", root)),
        slaves=tuple(listing(f"{folder}/slaves", root)),
        backing_file=read_text(f"{folder}/loop/backing_file", root),
        partitions=partitions,
    )


def _udev(devno: Optional[str], root: str) -> dict[str, str]:
    """What udev recorded of a device (its ``E:KEY=VALUE`` lines)."""
    text = read_text(f"/run/udev/data/b{devno}", root) if devno else None
    pairs = (line[2:].partition("=") for line in (text or "").splitlines() if line.startswith("E:"))
    return {key: value for key, _equals, value in pairs}


def _page80(disk: str, root: str) -> Optional[str]:
    """The serial number in SCSI's vital product data page 0x80: 4 bytes of header, then ASCII."""
    page = read_bytes(f"{disk}/device/vpd_pg80", root)
    return page[4:].decode("ascii", "replace") if page else None


def _number(path: str, root: str) -> int:
    text = (read_text(path, root) or "").strip()
    return int(text) if text.isdigit() else 0


def _first(*candidates: Optional[str]) -> Optional[str]:
    return next((each.strip(" \0\n") for each in candidates if each and each.strip(" \0\n")), None)


def device_of(path: str, devices: Sequence[BlockDevice]) -> Optional[BlockDevice]:
    """The block device that a node in /dev (or a link to one) stands for."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISBLK(info.st_mode):
        return None
    devno = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    return next((device for device in devices if device.devno == devno), None)


def base_disks(name: str, devices: Sequence[BlockDevice]) -> set[str]:
    """The names of the disks at the bottom of a device: through partitions, md, dm. A disk is its own bottom."""
    known = {device.name: device for device in devices}
    return set(_bottom(name, known, set()))


def _bottom(name: str, known: Mapping[str, BlockDevice], seen: set[str]) -> Iterator[str]:
    device = known.get(name)
    if device is None or name in seen:
        return
    seen.add(name)
    below = [device.parent] if device.parent else list(device.slaves)
    if not below:
        yield name
    for each in below:
        yield from _bottom(each, known, seen)
