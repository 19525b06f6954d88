"""`/health/live` and `/health/ready`, for load balancers and container platforms."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roomcast.app import Roomcast
from roomcast.stopping import Stop

REQUIRED = frozenset({"database"})
"""Parts without which the server cannot serve. Without the others it is degraded: it still answers 200, because all
processes usually share them, and to take all of them out of service would turn a small failure into an outage."""

DETAILS = {
    "database": "The database does not accept writes, so no message can be sent.",
    "bus": "The broker is not connected. Events of other processes arrive up to two seconds late, from the event log.",
    "files": "The data folder cannot be written, so uploads fail.",
}


def routes(roomcast: Callable[[], Roomcast], stop: Stop) -> list[Route]:
    """`roomcast` is called for each request."""

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        """503 takes the process out of the load balancer."""
        if stop.is_draining:
            return JSONResponse({"status": "stopping"}, 503, {"Cache-Control": "no-store"})
        parts = await roomcast().working_parts()
        failed = [name for name, works in parts.items() if not works]
        status = "ok" if not failed else "degraded" if REQUIRED.isdisjoint(failed) else "down"
        report = {"status": status, **{name: "ok" if works else "down" for name, works in parts.items()}}
        if failed:
            report["detail"] = " ".join(DETAILS[name] for name in failed)
        return JSONResponse(report, 503 if status == "down" else 200, {"Cache-Control": "no-store"})

    return [Route("/health/live", live), Route("/health/ready", ready)]
