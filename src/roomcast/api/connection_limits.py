"""Limits of one connection that connections enforce and `serverInfo.limits` tells clients."""

HEARTBEAT_MS = 12_000
"""Interval of the server's pings."""

MAX_SUBSCRIPTIONS_PER_CONNECTION = 100
"""Operations that may be active on one connection at a time."""
