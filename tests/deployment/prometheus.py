"""A real Prometheus that scrapes server processes and evaluates the alerts of deploy/alerts.yaml."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.children import LIMIT_SECONDS, Scratch, free_port, hand_over
from tests.deployment import programs

ALERTS = Path(__file__).parents[2] / "deploy" / "alerts.yaml"

CONFIGURATION = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: [alerts.yaml]
scrape_configs:
  - job_name: roomcast
    static_configs: [{{targets: [{targets}]}}]
"""


def hastened(alerts: str) -> str:
    """The rules with short times: what lasts for minutes in real life has to last for a second here."""
    return re.sub(r"\bfor: \w+", "for: 1s", alerts).replace("[5m]", "[10s]")


class Prometheus:
    def __init__(self, url: str) -> None:
        self._url = url

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        found = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

    def value(self, expression: str) -> float | None:
        """The first value of an expression now; None without one."""
        found = self._get("query", query=expression)["result"]
        return float(found[0]["value"][1]) if found else None

    def _get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]


@contextmanager
def prometheus(urls: Sequence[str]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the servers at these addresses twice a second."""
    program, port, scratch = programs.find("prometheus"), free_port(), Scratch()
    try:
        targets = ", ".join(f'"{urlsplit(url).netloc}"' for url in urls)
        (scratch.path / "prometheus.yaml").write_text(CONFIGURATION.format(targets=targets))
        (scratch.path / "alerts.yaml").write_text(hastened(ALERTS.read_text()))
        hand_over(scratch.path)
        files = [f"--config.file={scratch.path}/prometheus.yaml", f"--storage.tsdb.path={scratch.path}/series"]
        process = scratch.spawn([program, *files, f"--web.listen-address=127.0.0.1:{port}"])
        try:
            _wait_until_ready(port, scratch)
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            scratch.end(process, kill=True)
    finally:
        scratch.remove()


def _wait_until_ready(port: int, scratch: Scratch) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/-/ready", timeout=1).is_success:
                return
        time.sleep(0.05)
    raise RuntimeError(f"Prometheus did not start:\n{scratch.log()}")
