"""The composition root: settings → database, bus, hub, features → endpoints. The only file that knows all of them."""

import logging
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING
from uuid import UUID

from prometheus_client import CollectorRegistry

from roomcast.accounts import queries as accounts
from roomcast.accounts import refresh_tokens
from roomcast.accounts.credentials import Credentials
from roomcast.accounts.passwords import Passwords
from roomcast.accounts.policy import AccountRules
from roomcast.accounts.policy import SignupMode as Mode
from roomcast.accounts.sessions import Sessions
from roomcast.accounts.tokens import Tokens
from roomcast.api.context import Backend
from roomcast.api.execution.engine import Engine
from roomcast.api.execution.limits import Limits
from roomcast.api.execution.persisted import InvalidManifest, Manifest, PersistedQueries, read_manifest
from roomcast.api.execution.rates import RateLimiter
from roomcast.api.http.endpoint import HttpEndpoint
from roomcast.api.http.files import FilesEndpoint
from roomcast.api.schema import root
from roomcast.api.schema.inbox.inbox import user_topic
from roomcast.api.schema.streams.subscriptions import RoomEventSource, is_room_topic, room_topic
from roomcast.api.websocket.admission import UNLIMITED, ConnectionLimits
from roomcast.api.websocket.registry import ConnectionRegistry
from roomcast.core import migrations
from roomcast.core.clock import now
from roomcast.core.db import Database
from roomcast.core.epoch import Epoch
from roomcast.core.events import Event, EventCodec
from roomcast.core.group_commit import GroupCommit
from roomcast.core.keys import derive_key
from roomcast.core.metrics import OperationMetrics
from roomcast.core.periodic import PeriodicTask
from roomcast.core.rates import MemoryBuckets, RedisBuckets
from roomcast.core.readiness import WriteProbe
from roomcast.core.telemetry import configure_logs
from roomcast.live.inbox_reconciler import STEP_SECONDS, InboxReconciler
from roomcast.live.presence import PresenceService
from roomcast.messages import system_messages
from roomcast.messages.actions import NewMessage, Sent, send_messages
from roomcast.notifications.notifier import Notifier
from roomcast.notifications.ssrf_guard import AddressGuard
from roomcast.realtime.bus.bus import Bus, Frame
from roomcast.realtime.hub import Hub
from roomcast.realtime.watchers import WatcherRegistry
from roomcast.settings import (
    LogFormat,
    OnOff,
    Profile,
    RoomCreation,
    Settings,
    WrongSetting,
    data_folder,
    incoming,
    secret_keys,
    vapid_key,
)
from roomcast.uploads import sweeping
from roomcast.uploads.limits import TransferLimits
from roomcast.uploads.links import Links
from roomcast.uploads.receiving import UploadReceiver
from roomcast.uploads.storage import Folder, Storage
from roomcast.web import pages

if TYPE_CHECKING:
    from roomcast.notifications.sender import Sender

SWEEP_SECONDS = 3600.0
FILES_SECONDS = 600.0
STRAYS_SECONDS = 6 * 3600.0

logger = logging.getLogger("roomcast")


class Roomcast:
    """One process of the product. `start` and `stop` bracket its life; in between it serves `/graphql`."""

    sessions: Sessions  # these are made by `start`
    storage: Storage
    intake: UploadReceiver
    files: FilesEndpoint
    http: HttpEndpoint
    sockets: ConnectionRegistry

    def __init__(self, settings: Settings, passwords: Passwords | None = None) -> None:
        self.settings = settings
        self.registry = CollectorRegistry()
        self.operations = OperationMetrics(self.registry)
        self.schema = root.build_schema()
        self.db = Database(settings.database_url, self._publish, listeners=[system_messages.post_system_messages])
        self.lines = EventCodec()
        room_log = RoomEventSource(self.db, self.lines)
        self.epoch = Epoch(self.db, self._begin_epoch)
        self.hub = Hub(room_log, self._join, self._leave, self.epoch)
        self.watch = WatcherRegistry(self._join, self._leave, room_log.tails, is_room_topic, self.epoch)
        self.bus = Bus(
            settings.bus_url,
            on_frame=self._hear,
            on_resync=self._doubt,
            direct_url=settings.database_direct_url if settings.bus_url == settings.database_url else None,
        )
        self.signals = PresenceService(self.db, self.bus, self.watch, settings.presence_grace_seconds)
        self.send, self.takes_writes = self._open_batch(), WriteProbe(self.db)
        self.passwords = passwords or Passwords()
        self.sweeping = PeriodicTask("sweep sessions", SWEEP_SECONDS, self.sweep_sessions)
        self.buckets = _buckets(settings)
        self.credentials = Credentials(self.db, self.passwords, self.buckets, limited=settings.rate_limits is OnOff.ON)
        self.sweeping_files = PeriodicTask("sweep files", FILES_SECONDS, self.sweep_files)
        self.inbox_checks = InboxReconciler(self.db)
        self.checking_inboxes = PeriodicTask("check inboxes", STEP_SECONDS, self.inbox_checks.look)
        self.sweeping_strays = PeriodicTask("sweep stray bytes", STRAYS_SECONDS, self.sweep_strays)
        self.notifier = open_notifier(settings, self.db)
        self.notifying = _notifying(self.notifier)

    async def start(self) -> None:
        """Open everything. Raises WrongSetting for a database that is not up to date."""
        await prepare_database(self.settings)
        settings = self.settings
        self.storage = open_storage(settings)
        transfers = _transfer_limits(settings)
        keeps = settings.keep_originals
        self.intake = UploadReceiver(self.storage, incoming(settings), transfers, keeps_originals=keeps)
        introspection, get = settings.is_on(settings.introspection), settings.is_on(settings.get_queries)
        backend = await self._backend()
        self.files = FilesEndpoint(self.db, backend.links, self.storage, self.intake, transfers)
        persisted, rates = _persisted(settings), self._rates
        limits = Limits(response_bytes=settings.max_response_bytes)
        engine = Engine(self.schema, backend, limits, persisted, rates, self.operations, introspection=introspection)
        self.sockets = ConnectionRegistry(engine, self.hub, settings.allowed_origins, self._places)
        playground = pages.playground if settings.is_on(settings.playground) else None
        self.http = HttpEndpoint(engine, self.sockets.serve, playground, allow_get=get)
        await self.bus.start()
        await self.hub.start()
        await self.watch.start()
        await self.signals.start()
        await self.sockets.start()
        for chore in self._chores:
            chore.start()

    async def stop(self) -> None:
        for chore in self._chores:
            await chore.stop()
        await self.sockets.stop()
        await self.send.close()
        await self.intake.close()
        await self.takes_writes.close()
        if self.notifier is not None:
            await self.notifier.close()
        await self.sessions.close()
        await self.hub.stop()
        await self.watch.stop()
        await self.signals.stop()
        await self.bus.stop()
        if isinstance(self.buckets, RedisBuckets):
            await self.buckets.close()
        self.passwords.close()
        await self.db.close()

    async def sweep_sessions(self) -> None:
        """Forget sessions and tokens that ended long ago, a thousand at a time so that nobody waits for it."""
        more = True
        while more:
            async with self.db.work() as work:
                more = await refresh_tokens.sweep(work, now())

    async def sweep_files(self) -> None:
        """Remove files that nothing uses any more, and what was left half received."""
        await sweeping.sweep(self.db, self.storage)
        await self.intake.sweep()

    async def sweep_strays(self) -> None:
        await sweeping.sweep_strays(self.db, self.storage)

    async def is_ready(self) -> dict[str, bool]:
        """Which of the things that it needs work: the database takes a write, the bus is connected."""
        return {"database": await self.takes_writes(), "bus": self.bus.connected}

    @property
    def _chores(self) -> tuple[PeriodicTask, ...]:
        return self.sweeping, self.sweeping_files, self.sweeping_strays, self.checking_inboxes, *self.notifying

    @property
    def _rates(self) -> RateLimiter | None:
        return RateLimiter(self.buckets) if self.settings.rate_limits is OnOff.ON else None

    @property
    def _places(self) -> ConnectionLimits:
        return ConnectionLimits() if self.settings.rate_limits is OnOff.ON else UNLIMITED

    async def _backend(self) -> Backend:
        settings = self.settings
        keys = secret_keys(settings)
        tokens = Tokens(keys, settings.access_token_seconds)
        self.sessions = Sessions(self.db, tokens)
        await self.epoch.load()
        async with self.db.read() as session:
            has_accounts = not await accounts.is_empty(session)
        rules = account_rules(settings, keys[0], self.epoch.current)
        if not has_accounts and rules.setup_token is not None:
            log_setup_token(rules.setup_token, settings.public_url)
        return Backend(
            db=self.db,
            epoch_tracker=self.epoch,
            tokens=tokens,
            passwords=self.passwords,
            credentials=self.credentials,
            sessions=self.sessions,
            account_rules=rules,
            send=self.send,
            watchers=self.watch,
            inbox_reconciler=self.inbox_checks,
            presence=self.signals,
            members_may_create_rooms=settings.room_creation is RoomCreation.EVERYONE,
            public_url=settings.public_url,
            links=Links(
                [*(derive_key(key, "links") for key in keys), *keys]
            ),  # the latter: made before keys were derived
            max_upload_bytes=settings.max_upload_bytes,
            upload_quota_bytes=settings.upload_quota_bytes,
            max_response_bytes=settings.max_response_bytes,
            notifier=self.notifier,
        )

    def _open_batch(self) -> GroupCommit[NewMessage, Sent]:
        return GroupCommit(self.db, send_messages, lane=lambda message: message.room_id)

    def _publish(self, events: Sequence[Event]) -> None:
        self.bus.publish(frame for event in events for frame in _frames(event, self.lines.pack(event)))
        self.signals.happened(events)
        self.watch.committed((room_topic(event.room_id), event.seq) for event in events if event.seq)

    def _begin_epoch(self) -> None:
        """Another epoch counts: what was read of the logs is in doubt."""
        self.hub.restart()
        self.watch.restart()

    def _hear(self, frame: Frame) -> None:
        self.signals.on_frame(frame)
        self.hub.on_frame(frame)
        self.watch.on_frame(frame)

    def _doubt(self, topics: Collection[str]) -> None:
        self.signals.on_resync(topics)
        self.hub.on_resync(topics)
        self.watch.on_resync(topics)

    def _join(self, topic: str) -> None:
        self.bus.join(topic)

    def _leave(self, topic: str) -> None:
        self.bus.leave(topic)


def account_rules(settings: Settings, key: bytes, epoch: UUID) -> AccountRules:
    """The set-up token is the same in all processes of one database, and another one for every database."""
    is_guarded = settings.profile is Profile.PRODUCTION and settings.first_user_is_admin
    return AccountRules(
        Mode[settings.signup_mode.name],
        settings.first_user_is_admin,
        settings.refresh_token_days,
        settings.session_days,
        derive_key(key, f"set-up token {epoch}").hex()[:32] if is_guarded else None,
    )


def log_setup_token(token: str, public_url: str | None) -> None:
    """For the operator, who alone reads the log. In a link it stays in the browser: a fragment is not sent."""
    link = f" Open {public_url}/#setup={token} or" if public_url else " Open /#setup=TOKEN on this server, or"
    logger.warning(
        "there is no account yet; the first one becomes the administrator and needs the set-up token %s.%s run "
        "`roomcast create-admin`",
        token,
        link,
    )


def _frames(event: Event, line: str) -> Iterator[Frame]:
    """To those who listen to the room, and to the devices of the person whom it concerns."""
    if not event.is_personal:
        yield Frame(room_topic(event.room_id), event.seq, line)
    if event.affected_user_id is not None:
        yield Frame(user_topic(event.affected_user_id), 0, line)


def _buckets(settings: Settings) -> MemoryBuckets | RedisBuckets:
    """One allowance for all processes where they share a Redis; else each process counts for itself."""
    if not settings.bus_url.startswith(("redis://", "rediss://")):
        return MemoryBuckets()
    from redis.asyncio import Redis  # noqa: PLC0415 (an extra: only who names a Redis needs its driver)

    return RedisBuckets(Redis.from_url(settings.bus_url, socket_timeout=0.5, socket_connect_timeout=0.5))


def pushes(settings: Settings) -> bool:
    """Whether web pushes are sent. Raises WrongSetting where they should be and cannot."""
    installed = find_spec("cryptography") is not None and find_spec("httpcore") is not None
    if settings.push is OnOff.ON and not installed:
        raise WrongSetting("ROOMCAST_PUSH: install roomcast with the extra push, or leave it empty")
    return installed and settings.push is not OnOff.OFF


def push_subject(settings: Settings) -> str | None:
    """Whom the people of a push service may write to."""
    url = settings.public_url
    return settings.vapid_subject or (url if url is not None and url.startswith("https:") else None)


def open_notifier(settings: Settings, db: Database) -> Notifier | None:
    """What sends web pushes; None where that is off. Raises WrongSetting."""
    if not pushes(settings):
        return None
    key = vapid_key(settings)
    return Notifier(db, lambda: _sender(settings, key), timedelta(seconds=settings.push_delay_seconds))


def _notifying(notifier: Notifier | None) -> list[PeriodicTask]:
    if notifier is None:
        return []
    return [
        PeriodicTask("push", notifier.look_seconds, notifier.scan),
        PeriodicTask("sweep pushes", SWEEP_SECONDS, notifier.sweep),
    ]


def _sender(settings: Settings, key: bytes) -> "Sender":
    from roomcast.notifications.sender import Sender  # noqa: PLC0415 (an extra, and large: most starts push nothing)

    return Sender(key, push_subject(settings), AddressGuard(frozenset(settings.push_allowed_hosts)))


def open_storage(settings: Settings) -> Storage:
    """Where people's files lie. Raises WrongSetting."""
    if settings.storage_url is None:
        return Folder(incoming(settings).parent)
    try:
        from roomcast.uploads.bucket import Bucket  # noqa: PLC0415 (an extra: only who names a bucket needs it)
    except ImportError:
        raise WrongSetting("ROOMCAST_STORAGE_URL: install roomcast with the extra s3, or leave it empty") from None
    return Bucket(settings.storage_url)


def _transfer_limits(settings: Settings) -> TransferLimits:
    limits = TransferLimits(min_free_bytes=settings.min_free_disk_bytes)
    return limits if settings.rate_limits is OnOff.ON else limits.without_shares()


def _persisted(settings: Settings) -> PersistedQueries:
    """Raises WrongSetting for a manifest that is none."""
    automatic = settings.is_on(settings.persisted_queries)
    return PersistedQueries(automatic=automatic, trusted=read_trusted(settings))


def read_trusted(settings: Settings) -> Manifest | None:
    """The documents that alone may run. Raises WrongSetting."""
    try:
        return read_manifest(settings.trusted_documents) if settings.trusted_documents else None
    except InvalidManifest as error:
        raise WrongSetting(f"ROOMCAST_TRUSTED_DOCUMENTS: {error}") from None


def start_logs(settings: Settings) -> None:
    """JSON for machines, unless the setting or a terminal says otherwise."""
    as_json = settings.log_format is LogFormat.JSON or (settings.log_format is None and not sys.stderr.isatty())
    configure_logs(settings.log_level, as_json=as_json)


async def prepare_database(settings: Settings) -> None:
    """Bring the database up to date where that is our business. Raises WrongSetting where it is the operator's."""
    if settings.is_sqlite:
        data_folder(settings)
    try:
        found, wanted = await migrations.revision(settings.database_url), migrations.head()
        if found != wanted and settings.migrates_on_start:
            await migrations.upgrade(settings.database_direct_url)
            found = await migrations.revision(settings.database_url)
    except migrations.Unusable as error:
        raise WrongSetting(f"ROOMCAST_DATABASE_URL: the database cannot be used: {error}") from None
    if found != wanted:
        raise WrongSetting(
            f"the database is at revision {found or 'none'}, this release needs {wanted}: run `roomcast migrate`, "
            "or set ROOMCAST_MIGRATE_ON_START=true"
        )
