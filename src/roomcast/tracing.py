"""OpenTelemetry traces. They are on where the standard OTEL_ variables name a collector; otherwise nothing is imported,
and every call here costs one comparison.

A trace context is a text in the format of W3C's `traceparent` header. `current` is None unless the trace is recorded,
so whatever carries a context (calls of a group commit, frames on the bus) carries nothing without one.
"""

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

TIMEOUT_SECONDS = 5
"""How long one export may take, and the last one when the process stops."""

ADDRESSES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

Kind = Literal["INTERNAL", "SERVER", "PRODUCER", "CONSUMER"]

_tracer: Any = None
_provider: Any = None
_NOTHING = nullcontext()


class WrongTracing(Exception):
    """The variables ask for traces that cannot be made. The text is one sentence for operators."""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether traces are sent. Raises WrongTracing for an exporter that is not supported."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        raise WrongTracing(f"OTEL_TRACES_EXPORTER: {exporter!r} is not supported; set it to otlp or none")
    return exporter == "otlp" or any(environment.get(name) for name in ADDRESSES)


def start() -> bool:
    """Send traces from now on, if the environment asks for it; False if not. Raises WrongTracing."""
    global _tracer, _provider
    if not is_wanted(os.environ):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 (optional)
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 (optional)
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 (optional)
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 (optional)
    except ImportError:
        raise WrongTracing(
            "OTEL_EXPORTER_OTLP_ENDPOINT: install roomcast with the extra `otel`, or unset this variable"
        ) from None
    own = {"service.name": "roomcast", "service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
    resource = Resource(own).merge(Resource.create()) if "OTEL_SERVICE_NAME" in os.environ else Resource.create(own)
    _provider = TracerProvider(resource=resource)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=TIMEOUT_SECONDS)))
    _tracer = _provider.get_tracer("roomcast")
    return True


def stop() -> None:
    """Send what is left. Blocks for a few seconds at most."""
    global _tracer, _provider
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.force_flush(TIMEOUT_SECONDS * 1000)
        provider.shutdown()


def span(
    name: str,
    *,
    kind: Kind = "INTERNAL",
    parent: str | None = None,
    links: Iterable[str] = (),
    attributes: Mapping[str, Any] | None = None,
) -> AbstractContextManager[None]:
    """Record the block as a span, below `parent` or else below the span around it. Without either, nothing is recorded.
    `links`: spans of other traces that it also works for."""
    if _tracer is None or (parent is None and current() is None):
        return _NOTHING
    return _recorded(name, kind, parent, links, attributes)


def request_span(name: str, traceparent: str | None) -> AbstractContextManager[None]:
    """Record the block as the span of a request: in the trace of the client if it sent a context, else in a new one.
    OTEL_TRACES_SAMPLER decides whether the trace is recorded."""
    return _NOTHING if _tracer is None else _recorded(name, "SERVER", traceparent, (), None)


@contextmanager
def _recorded(
    name: str, kind: Kind, parent: str | None, links: Iterable[str], attributes: Mapping[str, Any] | None
) -> Iterator[None]:
    from opentelemetry import trace  # noqa: PLC0415 (optional)

    with _tracer.start_as_current_span(
        name,
        context=_context(parent),
        kind=trace.SpanKind[kind],
        attributes=attributes,
        links=[trace.Link(found) for each in links if (found := _span_context(each)) is not None],
        record_exception=False,  # messages of exceptions may contain what a user has typed
        set_status_on_exception=False,
    ) as recorded:
        try:
            yield
        except Exception as error:
            if not hasattr(error, "code"):  # a refusal is no failure
                recorded.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def record(name: str, began_ns: int, parent: str, kind: Kind, attributes: Mapping[str, Any]) -> None:
    """Record a span that ends now. It began at `began_ns`, in nanoseconds since 1970."""
    if _tracer is not None:
        from opentelemetry import trace  # noqa: PLC0415 (optional)

        context = _context(parent)
        _tracer.start_span(name, context, trace.SpanKind[kind], attributes=attributes, start_time=began_ns).end()


def current() -> str | None:
    """The context of the span around the caller; None if it is not recorded."""
    if _tracer is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415 (optional)

    found = trace.get_current_span().get_span_context()
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-01" if found.trace_flags.sampled else None


def _context(parent: str | None) -> Any:
    """What a new span is below: None stands for the present span."""
    from opentelemetry import trace  # noqa: PLC0415 (optional)

    found = _span_context(parent)
    return None if found is None else trace.set_span_in_context(trace.NonRecordingSpan(found))


def _span_context(traceparent: object) -> Any:
    """None for a text that is not well-formed: it comes from clients."""
    from opentelemetry import trace  # noqa: PLC0415 (optional)
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 (optional)

    carrier = {"traceparent": traceparent} if isinstance(traceparent, str) else {}
    found = trace.get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    return found if found.is_valid else None
