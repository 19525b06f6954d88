"""`roomcast serve --workers N`: starts the worker processes, and replaces those that die.

The supervisor binds the listening socket, and every worker accepts connections on it. Each worker has a pipe to the
supervisor: through it the worker says when it serves, gets the order to stop, and notices when the supervisor is gone.
uvicorn's own supervisor kills workers that need more than five seconds to start, and its workers outlive it.
"""

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection as pipes
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from uvicorn.config import STARTUP_FAILURE

from roomcast import systemd
from roomcast.data_folder import data_folder
from roomcast.http_server import HttpServer
from roomcast.serving import app_alone
from roomcast.settings import Settings, WrongSetting, load_settings
from roomcast.startup import start_logs
from roomcast.stopping import END_SECONDS, How, Stop
from roomcast.worker_metrics import WorkerMetrics

WAKE_SECONDS = 0.2
"""How often the supervisor looks for signals."""

SHORT_LIFE_SECONDS, MAX_FAILURES = 20.0, 5
"""Workers that may end in a row so soon after their start. Then the supervisor ends, unless other workers serve."""

MAX_PAUSE_SECONDS = 30.0
"""The longest pause before a worker is started again. It doubles with each failure, from half a second."""

OPERATION_SECONDS = 20.0
"""How long a stopping worker may take, besides the settings, before it is killed."""

spawn = multiprocessing.get_context("spawn")
logger = logging.getLogger("roomcast.supervisor")


@dataclass(eq=False)
class Worker:
    """A worker process. `number` stays the same when it is replaced."""

    number: int
    process: SpawnProcess
    pipe: Connection
    started_at: float = field(default_factory=time.monotonic)
    serves: bool = False
    kill_at: float | None = None
    """When it is killed unless it has ended: it was told to stop."""

    def tell(self, order: How) -> None:
        with suppress(OSError):  # it has just ended
            self.pipe.send(order)


class Supervisor:
    """`options`: the settings of the command line. The workers read the others for themselves, so that a rolling
    restart brings changes of them. `folder`: where the workers find each other."""

    def __init__(self, settings: Settings, options: Mapping[str, Any], listener: socket.socket, folder: Path) -> None:
        self._settings, self._options, self._listener, self._folder = settings, options, listener, folder
        self._workers: list[Worker] = []
        self._signals: list[int] = []
        self._failures = 0
        """Workers that have ended in a row within SHORT_LIFE_SECONDS."""
        self._starts: dict[int, float] = {}
        """When to start the worker of each number that has none."""
        self._outdated: list[Worker] = []
        """Workers that a rolling restart has still to replace, the next one first."""
        self._is_ready = self._is_stopping = False
        self._exit_code = 0

    def run(self) -> int:
        """Supervise until a signal stops all workers, or they cannot be started. Returns the exit code."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, _frame: self._signals.append(number))
        self._starts = dict.fromkeys(range(self._settings.workers), 0.0)
        while self._workers or not self._is_stopping:
            self._wait()
            while self._signals:
                self._on_signal(self._signals.pop(0))
            for worker in list(self._workers):
                self._check(worker)
            self._start_due()
            self._roll()
        return self._exit_code

    def _wait(self) -> None:
        """Read what workers say. Returns when one has said something or ended, at the latest after WAKE_SECONDS."""
        ready = pipes.wait(
            [each for worker in self._workers for each in (worker.pipe, worker.process.sentinel)], WAKE_SECONDS
        )
        for worker in self._workers:
            if worker.pipe in ready:
                try:
                    worker.pipe.recv()
                except (EOFError, OSError):
                    continue
                worker.serves = True
        if not self._is_ready and sum(worker.serves for worker in self._workers) == self._settings.workers:
            self._is_ready = True
            logger.info("all %d workers serve", self._settings.workers)
            systemd.notify("READY=1")

    # ------------------------------------------------------------------ signals

    def _on_signal(self, number: int) -> None:
        if number == getattr(signal, "SIGHUP", None):
            if not self._is_stopping and not self._outdated:
                logger.info("replacing the workers one after another")
                self._outdated = list(self._workers)
        elif self._is_stopping:
            logger.warning("a second signal: the workers end at once")
            for worker in self._workers:
                self._stop(worker, How.AT_ONCE)
        else:
            self._stop_all()

    def _stop_all(self) -> None:
        systemd.notify("STOPPING=1")
        logger.info("stopping all workers")
        self._is_stopping = True
        self._starts, self._outdated = {}, []
        for worker in self._workers:
            self._stop(worker, How.DRAIN)

    def _stop(self, worker: Worker, how: How) -> None:
        seconds = self._settings.drain_seconds + self._settings.close_seconds + OPERATION_SECONDS
        worker.kill_at = time.monotonic() + (END_SECONDS + 1 if how is How.AT_ONCE else seconds)
        worker.tell(how)

    # ------------------------------------------------------------------ workers that end, and their successors

    def _check(self, worker: Worker) -> None:
        code = worker.process.exitcode
        if code is None:
            if worker.kill_at is not None and time.monotonic() > worker.kill_at:
                logger.error("worker %d does not stop, and is killed", worker.number)
                worker.process.kill()
                worker.kill_at = None
            return
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        if self._is_stopping or worker.kill_at is not None:
            return
        if worker in self._outdated:
            self._outdated.remove(worker)
        self._on_death(worker, code)

    def _on_death(self, worker: Worker, code: int) -> None:
        logger.error(
            "worker %d (process %d) has ended unexpectedly with code %s", worker.number, worker.process.pid, code
        )
        if any(other.number == worker.number and other.kill_at is None for other in self._workers):
            if not worker.serves and self._outdated:
                logger.error("no more workers are replaced, because a new one did not start; the old ones go on")
                self._outdated = []
            return
        is_old = time.monotonic() - worker.started_at > SHORT_LIFE_SECONDS
        self._failures = 0 if worker.serves and is_old else self._failures + 1
        if not any(other.serves for other in self._workers) and self._gives_up(code):
            self._exit_code = STARTUP_FAILURE
            self._stop_all()
            return
        pause = min(MAX_PAUSE_SECONDS, 0.5 * 2 ** max(self._failures - 1, 0))
        self._starts[worker.number] = max(time.monotonic(), worker.started_at + pause)

    def _gives_up(self, code: int) -> bool:
        if code == STARTUP_FAILURE:
            logger.error("no worker can start; the reason is logged above")
        elif self._failures >= MAX_FAILURES:
            logger.error("%d workers in a row have ended after a short time, so this ends, too", self._failures)
        else:
            return False
        return True

    def _start_due(self) -> None:
        for number, at in list(self._starts.items()):
            if time.monotonic() >= at:
                del self._starts[number]
                self._start(number)

    def _start(self, number: int) -> Worker:
        ours, theirs = spawn.Pipe()
        metrics = WorkerMetrics(self._folder, number, self._settings.workers)
        process = spawn.Process(target=run_worker, args=(self._options, self._listener, theirs, metrics), daemon=True)
        process.start()
        theirs.close()  # the worker's end must be its own: the pipe has to break when the worker ends
        worker = Worker(number, process, ours)
        self._workers.append(worker)
        return worker

    def _roll(self) -> None:
        """The next step of a rolling restart: start a successor, wait until it serves, then stop the old worker."""
        if not self._outdated:
            return
        old = self._outdated[0]
        successor = next((each for each in self._workers if each.number == old.number and each is not old), None)
        if successor is None and old.kill_at is None:
            self._start(old.number)
        elif successor is not None and successor.serves and old.kill_at is None:
            self._stop(old, How.REPLACED)
        elif old not in self._workers:
            self._outdated.pop(0)


def run_worker(
    options: Mapping[str, Any], listener: socket.socket, pipe: Connection, worker_metrics: WorkerMetrics
) -> None:
    """The main function of a worker process."""
    os.environ.pop("NOTIFY_SOCKET", None)  # the supervisor is the service
    stop = Stop(ends_at_second_signal=False)
    threading.Thread(target=_obey, args=(pipe, stop, worker_metrics), daemon=True).start()
    try:
        settings = load_settings(**options)
    except WrongSetting as error:  # a rolling restart after a change of the settings
        logger.error("%s", error)
        sys.exit(STARTUP_FAILURE)
    start_logs(settings)
    app = app_alone(settings, stop=stop, worker_metrics=worker_metrics)
    HttpServer(app, settings, on_listening=lambda: pipe.send("serves")).run([listener])


def _obey(pipe: Connection, stop: Stop, worker_metrics: WorkerMetrics) -> None:
    """Follow the orders of the supervisor. The process ends at once when the supervisor is gone."""
    order = How.DRAIN
    while order is not How.AT_ONCE:
        try:
            order = pipe.recv()
        except (EOFError, OSError):
            order = How.AT_ONCE
            worker_metrics.remove_folder()
        if not stop.request(order):
            os._exit(0)


def supervise(settings: Settings, options: Mapping[str, Any]) -> int:
    """Bind the listening socket and run the workers. Returns the exit code, also for an address that is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            logger.error("cannot listen on %s port %d: %s", settings.host, settings.port, error.strerror)
            return STARTUP_FAILURE
        logger.info("listening on %s port %d", settings.host, listener.getsockname()[1])
        folder = _private_folder(settings)
        try:
            return Supervisor(settings, options, listener, folder).run()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _private_folder(settings: Settings) -> Path:
    """A new folder for the sockets of the workers: in the data folder if no other place can be written."""
    try:
        return Path(tempfile.mkdtemp(prefix="roomcast-"))
    except OSError:
        return Path(tempfile.mkdtemp(prefix="workers-", dir=data_folder(settings)))
