"""Who may ask the dashboard what: the rules, and the same through a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_console.ui.gate import POLICY, judge
from pullet_console.ui.settings import NotServed, Settings
from tests.support.dashboard import Dashboard, dashboard
from tests.support.scribe import Scribe

REDIS = Address("redis://127.0.0.1:6379/0")
TOKEN = "a-token-of-some-length"
HERE = {"host": "127.0.0.1:8420"}


def acting(settings: Settings, **other: str) -> dict[str, str]:
    """The headers of an action from a page of its own, but for `other`."""
    return {
        **HERE,
        "origin": "http://127.0.0.1:8420",
        "x-pullet-action": settings.action_token,
        "content-type": "application/json",
        "content-length": "2",
        **{name.replace("_", "-"): value for name, value in other.items()},
    }


@pytest.fixture(scope="module")
def acts() -> Settings:
    return Settings(redis=REDIS, may_act=True)


@pytest.mark.parametrize("host", ["127.0.0.1:8420", "localhost:8420", "[::1]:8420", "LOCALHOST", "127.1.2.3"])
def test_this_machine_may_read(host: str) -> None:
    assert judge("GET", "/api/queues", {"host": host}, Settings(redis=REDIS)) is None


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8420", "10.0.0.7", "[::", "a" * 400]
)
def test_another_host_is_refused(host: str) -> None:
    refusal = judge("GET", "/", {"host": host}, Settings(redis=REDIS))
    assert refusal is not None
    assert refusal.status == 421


def test_a_public_host_is_known() -> None:
    settings = Settings(redis=REDIS, token=TOKEN, host="0.0.0.0", public_hosts=("pullet.example",))
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert judge("GET", "/", {"host": "Pullet.Example", **bearer}, settings) is None
    assert judge("GET", "/", {"host": "other.example", **bearer}, settings) is not None


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_methods_other_than_get_and_post_are_refused(method: str, acts: Settings) -> None:
    refusal = judge(method, "/api/queues/q/actions/purge", acting(acts), acts)
    assert refusal is not None
    assert refusal.status == 405


def test_an_action_of_its_own_page_goes_on(acts: Settings) -> None:
    assert judge("POST", "/api/queues/q/actions/pause", acting(acts), acts) is None


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"x_pullet_action": ""}, 403),
        ({"x_pullet_action": "guess"}, 403),
        ({"x_pullet_action": "gü"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_length": "9999999"}, 413),
        ({"content_length": "-1"}, 413),
    ],
)
def test_an_action_from_elsewhere_is_refused(other: dict[str, str], status: int, acts: Settings) -> None:
    refusal = judge("POST", "/api/queues/q/actions/purge", acting(acts, **other), acts)
    assert refusal is not None
    assert refusal.status == status


def test_it_only_reads_unless_told() -> None:
    settings = Settings(redis=REDIS)
    refusal = judge("POST", "/api/queues/q/actions/pause", acting(settings), settings)
    assert refusal is not None
    assert (refusal.status, "--allow-actions" in refusal.text) == (403, True)


def test_with_a_token_everything_needs_it() -> None:
    settings = Settings(redis=REDIS, token=TOKEN, may_act=True)
    for path in ("/", "/api/queues", "/metrics", "/static/main.js"):
        refusal = judge("GET", path, HERE, settings)
        assert refusal is not None
        assert refusal.status == 401
    refusal = judge("POST", "/api/queues/q/actions/pause", acting(settings), settings)
    assert refusal is not None
    assert refusal.status == 401
    assert judge("GET", "/", {**HERE, "authorization": f"bearer {TOKEN}"}, settings) is None
    assert judge("GET", "/", {**HERE, "cookie": f"a=b; pullet_token={TOKEN}"}, settings) is None
    assert judge("GET", "/", {**HERE, "cookie": "pullet_token=wrong"}, settings) is not None
    assert judge("GET", "/", {**HERE, "cookie": "=;;\x01==pullet"}, settings) is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.com", ""])
def test_beyond_this_machine_a_token_is_needed(host: str) -> None:
    with pytest.raises(NotServed, match="PULLET_UI_TOKEN"):
        Settings(redis=REDIS, host=host)
    assert TOKEN not in repr(Settings(redis=REDIS, host=host, token=TOKEN))


def test_a_short_token_is_refused() -> None:
    with pytest.raises(NotServed, match="shorter"):
        Settings(redis=REDIS, token="secret")


# -- through a socket


@pytest.fixture
def here(address: Address) -> Iterator[Dashboard]:
    with dashboard(address, may_act=True) as found:
        yield found


def test_every_answer_has_the_headers(here: Dashboard) -> None:
    for method, path in (
        ("GET", "/"),
        ("GET", "/static/main.js"),
        ("GET", "/nowhere"),
        ("PUT", "/"),
        ("GET", "/metrics"),
    ):
        headers = here.ask(method, path).headers
        assert headers["content-security-policy"] == POLICY, path
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_what_is_refused_changes_nothing(here: Dashboard, link: Link, queue: Queue) -> None:
    scribe = Scribe(link, queue)
    scribe.worker()
    before = scribe.dump()
    path = f"/api/queues/{queue.name}/actions/pause"
    assert here.ask("POST", path, {"Content-Type": "application/json"}, "{}").status == 403
    assert here.ask("POST", path, here.action_headers | {"Origin": "http://evil.example"}, "{}").status == 403
    assert here.ask("POST", path, here.action_headers | {"Host": "evil.example"}, "{}").status == 421
    assert here.ask("DELETE", path, here.action_headers, "{}").status == 405
    assert here.ask("PUT", path, here.action_headers, "{}").status == 405
    assert here.ask("GET", path, here.action_headers).status in (404, 405)
    after = scribe.dump()
    assert {name: value for name, value in after.items() if name != "config"} == {
        name: value for name, value in before.items() if name != "config"
    }
    assert not link.execute("HEXISTS", queue.keys.fixed("config"), "paused")


def test_an_action_is_done_and_logged(here: Dashboard, link: Link, queue: Queue) -> None:
    Scribe(link, queue).worker()
    path = f"/api/queues/{queue.name}/actions"
    assert here.act(f"{path}/pause", {}).json == {"done": True}
    assert link.execute("HEXISTS", queue.keys.fixed("config"), "paused")
    assert here.act(f"{path}/resume", {}).json == {"done": True}
    assert [(one["what"], one["by"]) for one in here.get(path)] == [("resume", "127.0.0.1"), ("pause", "127.0.0.1")]


@pytest.mark.parametrize(
    ("action", "given"),
    [
        ("explode", {}),
        ("retry", {}),
        ("retry", {"method": None}),
        ("purge", {"jobs": "all"}),
        ("purge", {"jobs": ["x"] * 1001}),
        ("purge", {"method": 7, "error": None}),
        ("cancel", {}),
        ("cancel", {"job": "x" * 201}),
    ],
)
def test_an_action_that_says_too_little_is_refused(
    here: Dashboard, queue: Queue, action: str, given: dict[str, object]
) -> None:
    answer = here.act(f"/api/queues/{queue.name}/actions/{action}", given)
    assert answer.status == 400
    assert answer.json["error"]


def test_the_token_comes_in_by_a_link_and_stays_as_a_cookie(address: Address) -> None:
    with dashboard(address, token=TOKEN) as found:
        assert found.ask("GET", "/").status == 401
        assert found.ask("GET", "/healthz").status in (200, 503)
        assert found.ask("GET", "/?token=wrong").status == 401
        entered = found.ask("GET", f"/?token={TOKEN}")
        assert (entered.status, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert found.ask("GET", "/", {"Cookie": cookie.partition(";")[0]}).status == 200
