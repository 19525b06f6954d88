"""The composition root: `open_roomcast` builds a server process from its settings, starts it and stops it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from roomcast import tracing
from roomcast.accounts import queries as accounts
from roomcast.accounts import refresh_tokens
from roomcast.accounts.credentials import Credentials
from roomcast.accounts.passwords import Passwords
from roomcast.accounts.sessions import Sessions
from roomcast.accounts.throttle import AccountLimits
from roomcast.accounts.tokens import Tokens
from roomcast.api.context import Backend
from roomcast.api.execution.engine import Engine
from roomcast.api.execution.limits import Limits
from roomcast.api.execution.rates import RateLimiter, RateLimits
from roomcast.api.http.endpoint import HttpEndpoint
from roomcast.api.http.files import FilesEndpoint
from roomcast.api.schema import root
from roomcast.api.websocket.admission import Admission, ConnectionLimits
from roomcast.api.websocket.connection import Connection
from roomcast.api.websocket.registry import ConnectionRegistry
from roomcast.components import (
    Limiting,
    allowed_origins,
    create_limiting,
    limits_of,
    open_notifier,
    open_storage,
    persisted_queries,
    socket_timeouts,
)
from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.core.keys import derive_key
from roomcast.core.loop_watch import LoopWatch
from roomcast.core.metrics import OperationMetrics
from roomcast.core.periodic import PeriodicTask
from roomcast.core.rates import RedisBuckets
from roomcast.core.readiness import Probe, database_probe, folder_probe
from roomcast.core.replicas import Replicas
from roomcast.data_folder import incoming_folder, secret_keys
from roomcast.event_router import EventRouter
from roomcast.live.inbox_reconciler import STEP_SECONDS, InboxReconciler
from roomcast.live.room_streams import StreamAccess
from roomcast.messages.actions import MessageSender
from roomcast.realtime.bus.bus import Bus
from roomcast.realtime.hub import Hub
from roomcast.settings import OnOff, RoomCreation, Settings
from roomcast.startup import account_rules, claim_storage, log_setup_token, prepare_database, start_traces
from roomcast.uploads import cleanup
from roomcast.uploads.actions import FileLimits
from roomcast.uploads.limits import TransferLimits
from roomcast.uploads.links import Links
from roomcast.uploads.receiving import UploadReceiver
from roomcast.uploads.storage import Storage
from roomcast.web import pages

SESSION_CLEANUP_SECONDS = PUSH_CLEANUP_SECONDS = 3600.0
FILE_CLEANUP_SECONDS = 600.0
ORPHAN_CLEANUP_SECONDS = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Roomcast:
    """A running server process. Only `open_roomcast` makes one, so all parts of it have been started.

    `http` answers `/graphql` and `sockets` its WebSockets; `files` answers uploads and downloads. `backend` is what
    resolvers work with.
    """

    settings: Settings
    registry: CollectorRegistry
    db: Database
    bus: Bus
    hub: Hub
    backend: Backend
    storage: Storage
    upload_receiver: UploadReceiver
    files: FilesEndpoint
    sockets: ConnectionRegistry
    http: HttpEndpoint
    loop_watch: LoopWatch
    database_probe: Probe
    folder_probe: Probe
    limiting: Limiting

    async def working_parts(self) -> dict[str, bool]:
        """Whether the database accepts writes, the bus is connected, and the data folder can be written."""
        database, files = await asyncio.gather(self.database_probe(), self.folder_probe())
        return {"database": database, "bus": self.bus.connected, "files": files}

    async def delete_expired_sessions(self) -> None:
        """Delete sessions and tokens that ended long ago, in batches: a long transaction delays other writes."""
        has_more = True
        while has_more:
            async with self.db.work() as work:
                has_more = await refresh_tokens.delete_expired(work, now())

    async def delete_unused_files(self) -> None:
        """Delete files that nothing uses any more, and uploads that were interrupted."""
        await cleanup.delete_unused_files(self.db, self.storage)
        await self.upload_receiver.delete_interrupted_uploads()

    async def delete_orphaned_blobs(self) -> None:
        await cleanup.delete_orphaned_blobs(self.db, self.storage)

    def periodic_tasks(self) -> list[PeriodicTask]:
        notifier, inboxes = self.backend.notifier, self.backend.inbox_reconciler
        tasks = [
            PeriodicTask("delete expired sessions", SESSION_CLEANUP_SECONDS, self.delete_expired_sessions),
            PeriodicTask("delete unused files", FILE_CLEANUP_SECONDS, self.delete_unused_files),
            PeriodicTask("delete orphaned blobs", ORPHAN_CLEANUP_SECONDS, self.delete_orphaned_blobs),
            PeriodicTask("reconcile inboxes", STEP_SECONDS, inboxes.check_next),
        ]
        if notifier is not None:
            tasks += [
                PeriodicTask("send pushes", notifier.scan_interval_seconds, notifier.scan),
                PeriodicTask("delete expired pushes", PUSH_CLEANUP_SECONDS, notifier.delete_expired_subscriptions),
            ]
        return tasks


@asynccontextmanager
async def open_roomcast(
    settings: Settings, passwords: Passwords | None = None, *, is_prepared: bool = False
) -> AsyncIterator[Roomcast]:
    """Start a server process, and stop it when the block ends.

    Parts are stopped in the reverse order of their start. If a step fails, the parts that were started before it are
    stopped, too. Raises WrongSetting, for example for a database that is not migrated. `is_prepared`: the caller has
    prepared the database and claimed the storage.
    """
    if not is_prepared:
        await prepare_database(settings)
        await claim_storage(settings)
    async with AsyncExitStack() as stack:
        if start_traces():
            stack.push_async_callback(asyncio.to_thread, tracing.stop)
        roomcast = await _start(stack, settings, passwords)
        for task in roomcast.periodic_tasks():
            task.start()
            stack.push_async_callback(task.stop)
        yield roomcast


async def _start(stack: AsyncExitStack, settings: Settings, passwords: Passwords | None) -> Roomcast:
    registry = CollectorRegistry()
    limiting = create_limiting(settings, registry)
    waiting = settings.waiting_signins_per_process
    passwords = passwords or Passwords(max_waiting=waiting, refusals=limiting.refusals)
    stack.callback(passwords.close)
    router = EventRouter(settings)
    stack.push_async_callback(router.db.close)
    if isinstance(limiting.buckets, RedisBuckets):
        stack.push_async_callback(limiting.buckets.close)
    await router.start(stack)
    backend = await _open_backend(stack, settings, router, passwords, limiting)
    probes = database_probe(router.db), folder_probe(incoming_folder(settings))
    for probe in probes:
        stack.push_async_callback(probe.close)
    storage = open_storage(settings)
    transfers = limits_of(TransferLimits, settings, min_free_bytes=settings.min_free_disk_bytes)
    receiver = _open_receiver(stack, settings, storage, transfers, limiting)
    engine = _create_engine(settings, backend, limiting, registry)
    sockets = await _open_sockets(stack, settings, engine, router.hub, limiting)
    return Roomcast(
        settings=settings,
        registry=registry,
        db=router.db,
        bus=router.bus,
        hub=router.hub,
        backend=backend,
        storage=storage,
        upload_receiver=receiver,
        files=FilesEndpoint(
            router.db, backend.links, storage, receiver, transfers, limiting.addresses, limiting.refusals
        ),
        sockets=sockets,
        http=_http_endpoint(settings, engine, sockets),
        loop_watch=await _start_loop_watch(stack),
        database_probe=probes[0],
        folder_probe=probes[1],
        limiting=limiting,
    )


async def _open_backend(
    stack: AsyncExitStack, settings: Settings, router: EventRouter, passwords: Passwords, limiting: Limiting
) -> Backend:
    db, keys = router.db, secret_keys(settings)
    rules = account_rules(settings, keys[0], router.epoch.current)
    if rules.setup_token is not None and not await _has_accounts(db):
        log_setup_token(rules.setup_token, settings.public_url)
    tokens = Tokens(keys, settings.access_token_seconds)
    sessions, stream_access = Sessions(db, tokens), StreamAccess(db)
    notifier, message_sender = open_notifier(settings, db), MessageSender(db)
    for close in [part.close for part in (sessions, stream_access, notifier, message_sender) if part is not None]:
        stack.push_async_callback(close)
    return Backend(
        db=db,
        epoch_tracker=router.epoch,
        tokens=tokens,
        passwords=passwords,
        credentials=Credentials(db, passwords, limits_of(AccountLimits, settings), *limiting),
        sessions=sessions,
        stream_access=stream_access,
        account_rules=rules,
        message_sender=message_sender,
        watchers=router.watchers,
        inbox_reconciler=InboxReconciler(db),
        presence=router.presence,
        members_may_create_rooms=settings.room_creation is RoomCreation.EVERYONE,
        public_url=settings.public_url,
        # The keys themselves verify links that were signed before keys were derived.
        links=Links([*(derive_key(key, "links") for key in keys), *keys]),
        file_limits=limits_of(
            FileLimits,
            settings,
            max_upload_bytes=settings.max_upload_bytes,
            upload_quota_bytes=settings.upload_quota_bytes,
        ),
        refusals=limiting.refusals,
        max_response_bytes=settings.max_response_bytes,
        notifier=notifier,
        replicas=await _open_replicas(stack, settings, router),
    )


def _open_receiver(
    stack: AsyncExitStack, settings: Settings, storage: Storage, transfers: TransferLimits, limiting: Limiting
) -> UploadReceiver:
    folder = incoming_folder(settings)
    receiver = UploadReceiver(storage, folder, transfers, limiting.refusals, keeps_originals=settings.keep_originals)
    stack.push_async_callback(receiver.close)
    return receiver


async def _start_loop_watch(stack: AsyncExitStack) -> LoopWatch:
    watch = LoopWatch()
    stack.push_async_callback(watch.stop)
    await watch.start()
    return watch


async def _open_sockets(
    stack: AsyncExitStack, settings: Settings, engine: Engine, hub: Hub, limiting: Limiting
) -> ConnectionRegistry:
    admission: Admission[Connection] = Admission(
        limits_of(ConnectionLimits, settings), engine.backend.presence, limiting.addresses, limiting.refusals
    )
    sockets = ConnectionRegistry(engine, hub, allowed_origins(settings), admission, socket_timeouts(settings))
    stack.push_async_callback(sockets.stop)
    await sockets.start()
    return sockets


async def _open_replicas(stack: AsyncExitStack, settings: Settings, router: EventRouter) -> Replicas | None:
    if not settings.database_read_urls:
        return None
    replicas = Replicas(settings.database_read_urls, settings.database_pool_size, lambda: router.epoch.current)
    stack.push_async_callback(replicas.stop)
    await replicas.start()
    return replicas


async def _has_accounts(db: Database) -> bool:
    async with db.read() as db_session:
        return not await accounts.has_no_users(db_session)


def _create_engine(settings: Settings, backend: Backend, limiting: Limiting, registry: CollectorRegistry) -> Engine:
    has_rates = settings.rate_limits is OnOff.ON
    rates = RateLimiter(limits_of(RateLimits, settings), *limiting) if has_rates else None
    return Engine(
        root.build_schema(),
        backend,
        limits_of(Limits, settings, response_bytes=settings.max_response_bytes),
        persisted_queries(settings),
        rates,
        OperationMetrics(registry),
        introspection=settings.is_on(settings.introspection),
    )


def _http_endpoint(settings: Settings, engine: Engine, sockets: ConnectionRegistry) -> HttpEndpoint:
    playground = pages.playground if settings.is_on(settings.playground) else None
    return HttpEndpoint(engine, sockets.serve, playground, allow_get=settings.is_on(settings.get_queries))
