"""What may be wrong, how it is seen, and what helps against it. Each file looks at one thing; `findings` says what a
finding is. Only `server` and `cluster` ask anybody, and only `rights` writes: to one key of its own, which it removes.
"""
