"""Chaos: callers, workers, a controller and a server, all of which are killed, stopped and cut off while jobs run.

    python -m tests.chaos --jobs 10000 --seed 7

`plan` says from a seed who submits what and when, and which fault comes when. `driver` starts the real parts and lets
`faults` happen to them. Every process keeps a `history`; the server's own append-only file is read as the `ledger` of
what was committed. The `checker` is pure: it compares the two and says what was lost, doubled or changed.
"""
