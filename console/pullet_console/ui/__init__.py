"""The dashboard: `pullet ui`. It reads Redis alone, needs no Ray, and works with any server.

`monitor` looks once a second and follows the stream of events; `history`, `latency` and `timeline` keep what it sees,
without I/O; `gate` decides who may ask what; `api`, `live` and `actions` answer. The page is plain ES modules in
`static/`.
"""
