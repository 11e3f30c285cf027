"""`pullet demo`: a pool at work on real data, with a worker killed half-way. `show` is where it begins."""
