# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on disk: /var/lib/asl/runtime/queue/<job>/, one folder a request.

    request.json    what is asked for; the folder's name is its id
    settings.json   keys of asl.conf for this job, over those of the server; no part of its id, so the last submit has its way
    progress.json   replaced atomically while it runs
    result.json     when it is done, or has failed for good; a run that was killed leaves none and is taken up again
    collected       the result was handed out: asking again means a new run
    cancel          somebody wants it stopped
    lock            flocked by the process that runs the job

Everything here may be killed at any moment. A job without a result is queued, whoever died.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

from asl import paths
from asl.errors import NotFound, Unavailable, Usage
from asl.intake import wellformed
from asl.intake.request import Request
from asl.system import replace_file

QUEUED, RUNNING, FINISHED, WOULD_RUN = "queued", "running", "finished", "would-run"
# A failure that nobody asked about for so long (seconds) is not handed out any more: its cause may be gone, so it runs again.
STALE_FAILURE = 900


class Job:
    """One job on disk."""

    def __init__(self, job_id: str) -> None:
        self.id = job_id
        self.folder = paths.state("runtime", "queue", job_id)

    def path(self, name: str) -> str:
        """A file of the job."""
        return os.path.join(self.folder, name)

    def has(self, name: str) -> bool:
        """True when the file is there."""
        return os.path.exists(self.path(name))

    def load(self, name: str) -> Optional[dict[str, Any]]:
        """The JSON document in a file of the job; None when it is not there, is no file, or is damaged."""
        try:
            # A pipe in its place must not make anybody wait.
            with open(os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                value = json.load(file) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
        except (OSError, ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Replace a file of the job atomically."""
        replace_file(self.path(name), json.dumps(document, indent=1).encode() + b"\n", 0o600)

    def forget(self, *names: str) -> None:
        """Remove files of the job. Raises Unavailable (BAD_RESULT) where something else has the name of one."""
        for name in names:
            path = self.path(name)
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
            except IsADirectoryError as error:
                raise Unavailable(f"{path} is a folder where a file belongs", reason="BAD_RESULT", hint="move it away") from error

    @property
    def request(self) -> Request:
        """What is asked for. Raises Usage where that cannot be told (BAD_REQUEST) or cannot be meant."""
        return Request.of(self._written("request.json"))

    @property
    def settings(self) -> dict[str, str]:
        """Keys of asl.conf that hold for this job. Raises Usage (BAD_REQUEST)."""
        if not self.has("settings.json"):
            return {}
        return {str(key): str(value) for key, value in self._written("settings.json").items()}

    def _written(self, name: str) -> dict[str, Any]:
        document = self.load(name)
        if document is None:
            what = f"what the job {self.id} is to do cannot be told: {self.path(name)} is damaged"
            raise Usage(what, reason="BAD_REQUEST", hint="submit it again; the folder of this one can be removed")
        return document

    @property
    def running(self) -> bool:
        """True while a process runs it."""
        return _held(self.path("lock"))

    @property
    def state(self) -> str:
        """queued, running or finished."""
        if self.has("result.json"):
            return FINISHED
        return RUNNING if self.running else QUEUED

    def document(self) -> dict[str, Any]:
        """The job as submit, status and wait show it."""
        state, loaded = self.state, self.load("result.json")
        result = wellformed.result(loaded) if state == FINISHED else None
        changed = result.get("changed") if result else None
        return {
            "job": self.id,
            "state": state,
            "finished": state == FINISHED,
            "changed": changed,
            "actions": [] if changed is False else self._actions(),
            "progress": wellformed.progress(self.load("progress.json")),
            "result": result,
        }

    def _actions(self) -> list[str]:
        try:
            return self.request.actions()
        except Usage:  # the server says it, as the result
            return []


def jobs() -> list[Job]:
    """Every job, in the order in which they were asked for."""
    folder = paths.state("runtime", "queue")
    found = []
    with contextlib.suppress(FileNotFoundError):
        for job in map(Job, os.listdir(folder)):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # no job, or not any more
                found.append((os.stat(job.path("request.json")).st_mtime_ns, job.id, job))
    return [job for _when, _id, job in sorted(found, key=lambda each: each[:2])]


def find(job_id: str) -> Job:
    """The job with JOB_ID. Raises NotFound."""
    job = Job(job_id)
    if os.path.basename(job_id) != job_id or not job.has("request.json"):
        raise NotFound(f"there is no job {job_id}", reason="NO_JOB", hint="asl-intake status lists the jobs")
    return job


def submit(request: Request, settings: Optional[Mapping[str, str]] = None) -> Job:
    """Queue REQUEST with SETTINGS, or join the job that is queued, running, or finished with a result that nobody has fetched yet."""
    job = Job(request.id)
    with locked():
        make_folder(job.folder)
        if job.has("result.json") and (job.has("collected") or _stale(job)):
            job.forget("result.json", "collected", "progress.json")
        if not job.has("result.json") and not job.running:
            job.forget("cancel")
            job.save("settings.json", dict(settings or {}))  # first: with the request the job is there
            job.save("request.json", request.document())
    return job


def _stale(job: Job) -> bool:
    result = wellformed.result(job.load("result.json"))
    if result.get("reason") == wellformed.BAD_RESULT:
        return True
    return "error" in result and time.time() - os.stat(job.path("result.json")).st_mtime > STALE_FAILURE


def collect(job: Job) -> None:
    """Mark the result as handed out: the next submit is a new run."""
    with locked():
        if job.has("result.json"):
            replace_file(job.path("collected"), b"", 0o600)


def cancel(job: Job) -> bool:
    """Ask for the job to be stopped; True when there was something to stop. What it has stored stays."""
    with locked():
        if job.state == FINISHED:
            return False
        replace_file(job.path("cancel"), b"", 0o600)
    return True


@contextmanager
def locked() -> Iterator[None]:
    """Hold the queue: nothing in it changes meanwhile, and no server leaves."""
    folder = paths.state("locks")
    make_folder(folder)
    with _flocked(os.path.join(folder, "queue.lock")):
        yield


@contextmanager
def hold(path: str) -> Iterator[bool]:
    """Try to flock PATH; False when somebody else holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def server_lock() -> str:
    """The file that the one server of this machine holds."""
    return paths.state("locks", "intake.lock")


def server_present() -> bool:
    """True while a server works through the queue."""
    return _held(server_lock())


def make_folder(path: str) -> None:
    """Make a state folder. Raises Unavailable."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        what = f"{path}: cannot keep state there: {(error.strerror or str(error)).lower()}"
        raise Unavailable(what, reason="NO_STATE", hint="/var/lib/asl must be writable; run as root") from error


@contextmanager
def _flocked(path: str) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _held(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
