"""The password of the server reaches the workers, and shows nowhere: not in `ps`, in Ray's logs, or in any text."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import ServerRefused
from pullet_workers import Pool
from tests.ray.engines import Echo
from tests.support.servers import Node
from tests.support.workers import everything_shown

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray"), pytest.mark.filterwarnings("ignore:nothing is")]

SECRET = f"s3cret-{os.getpid()}-w0rd"


@pytest.mark.parametrize("where", ["in the URL", "in a file"])
def test_a_pool_on_a_server_with_a_password_never_shows_it(cluster: Any, tmp_path: Path, where: str) -> None:
    node = Node(tmp_path / "server", requirepass=SECRET)
    plain, node.url = node.url, node.url.replace("//", f"//:{SECRET}@")
    file = tmp_path / "password"
    file.write_text(SECRET)
    address = Address(node.url) if where == "in the URL" else Address(plain, password_file=str(file))
    with node, Pool(Echo, workers=1, queue="secret", redis=address) as pool:
        assert pool.submit(Echo.say, "x").result(20) == "x"
        with pytest.raises(KeyError) as raised:
            pool.submit(Echo.fail, "lost").result(10)
        shown = [everything_shown(raised.value), repr(pool), str(pool.status()), pool._repr_html_(), pool.redis]
        shown += [Path(path).read_bytes().decode(errors="replace") for path in glob.glob("/proc/[0-9]*/cmdline")]
        logs = Path(cluster.head_node.get_logs_dir_path())
        assert list(logs.iterdir())
        shown += [path.read_text(errors="replace") for path in logs.rglob("*") if path.is_file()]
        assert not [text[:200] for text in shown if SECRET in text]
        with pytest.raises(ServerRefused) as refused:
            Pool(Echo, workers=1, queue="refused", redis=Address(node.url.replace(SECRET, f"{SECRET}-wrong")))
        assert SECRET not in everything_shown(refused.value)
