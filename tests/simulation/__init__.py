"""Deterministic simulation of what the product promises: one seed is one run, thousands of them a minute.

A run happens in virtual time on a seeded event loop (`loop.py`). The product's own code runs in it; the database, the
bus, the sockets and the clients around it are simulated and go wrong as the seed has it (`faults.py`). There are three
worlds:

- `delivery.py`: hub, topics, groups, readers, outboxes; a log that fails over, a bus that loses, sockets that stall.
- `sockets.py` and `clients.py`: sockets, sessions, streams, inboxes and watches over a database in memory.
- `batch.py`: writing and reading in groups.

What is promised, and checked in each run:

- What a subscription was shown, across all its connections, is the log from its first position: in order, nothing
  missing, nothing twice (`truth.Ledger`). A position never claims what was not shown.
- A client whose position the log does not hold any more is told so.
- Once the faults have stopped, every open stream reaches the end of the log and every inbox equals the database.
- Then an event without a frame is shown within seconds, and who loses the right or the session is cut off as soon.
- Nobody is shown what was committed after they lost the right, or after another person signed in on their socket.
- When all clients have gone, no reader, topic, watcher, task or unhandled exception is left.
- A call that was acknowledged is stored; a call whose caller has gone is not begun.

`make simulate SEEDS=10000` runs that many seeds in each world. A failure prints its world and seed. To replay it, with
the server's log lines:

    .venv/bin/python -m tests.simulation --world sockets --seed 1234

The same seed gives the same run as long as the code is the same: the runner fixes PYTHONHASHSEED, and hashes, clocks
and random numbers come from the loop. `--trace` prints a checksum of the run to compare.
"""
