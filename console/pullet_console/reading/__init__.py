"""What the command line and the dashboard know of queues: read from Redis alone, with no Ray and on any server.

    with Reader(address) as reader:
        for queue in reader.summaries():
            print(queue.name, queue.waiting)

`Reader` is the thin shell; what its answers mean is decided in the other files, without I/O. All answers are frozen
dataclasses, which `dataclasses.asdict` turns into what `--json` and the dashboard's API print. Texts in them come from
strangers: show them through `pullet_console.inert`.
"""
