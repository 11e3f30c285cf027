"""For the tests of those who use pullet: a pool without Redis, without Ray and without other processes.

    from pullet.testing import InlinePool

    with InlinePool(Chess) as pool:
        assert pool.submit(Chess.eval, fen).result() == 12

Under pytest the fixture `pullet_pool` makes such pools and closes them: `pullet_pool(Chess)`.
"""

from pullet.testing.inline import InlinePool

__all__ = ["InlinePool"]
