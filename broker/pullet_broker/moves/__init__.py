"""The moves of the protocol: for each script one typed function that builds its call and reads its reply. No I/O."""
