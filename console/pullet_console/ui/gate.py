"""Who may ask what. `judge` decides without I/O; `Gate` is the ASGI middleware around everything.

- Host must be a name of this machine, or one that was given: a page of another site whose name was made to point here
  (DNS rebinding) is refused.
- GET and HEAD read; POST acts, and only for a page of ours: its Origin is this host, and it sends the action token,
  which no other site can read. All other methods are refused.
- With a token, everything needs it: as a bearer, or as the cookie that /?token=... sets.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pullet_console.ui.settings import Settings, is_loopback

COOKIE = "pullet_token"
ACTION_HEADER = "x-pullet-action"
MOST_BODY = 64 * 1024

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Refusal:
    status: int
    text: str


def judge(method: str, path: str, headers: Mapping[str, str], settings: Settings) -> Refusal | None:
    """None for a request that may go on."""
    if not _is_known_host(headers.get("host", ""), settings):
        return Refusal(421, "unknown Host: use this machine's address, or start with --public-host NAME")
    if method not in ("GET", "HEAD", "POST"):
        return Refusal(405, f"{method[:20]} is not allowed: GET reads, POST acts")
    if settings.token and not _shows_token(headers, settings.token) and path != "/healthz":
        return Refusal(401, "a token is needed: open /?token=..., or send it as Authorization: Bearer ...")
    return _judge_action(headers, settings) if method == "POST" else None


def _judge_action(headers: Mapping[str, str], settings: Settings) -> Refusal | None:
    if not settings.may_act:
        return Refusal(403, "this dashboard only reads: start it with --allow-actions")
    if _host_of(headers.get("origin", "")) != _host_of("//" + headers.get("host", "")):
        return Refusal(403, "actions are taken from this dashboard's own pages only (Origin)")
    if not _equal(headers.get(ACTION_HEADER, ""), settings.action_token):
        return Refusal(403, "the action token is missing or old: load the page again")
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return Refusal(415, "an action is sent as application/json")
    if not headers.get("content-length", "").isdecimal() or int(headers["content-length"]) > MOST_BODY:
        return Refusal(413, f"an action has at most {MOST_BODY} bytes")
    return None


def _is_known_host(host: str, settings: Settings) -> bool:
    name = urlsplit(f"//{host}").hostname if len(host) < 300 and _host_of(f"//{host}") else None
    if not name:
        return False
    known = {settings.host.strip("[]").lower(), *(one.lower() for one in settings.public_hosts)}
    return is_loopback(name) or name in known


def _host_of(url: str) -> str:
    """Host and port of a URL; empty where it is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _shows_token(headers: Mapping[str, str], token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and _equal(given.strip(), token):
        return True
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return False
    return cookie is not None and _equal(cookie.value, token)


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


class Gate:
    """Refuses what must not go on, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # a WebSocket is not answered: uvicorn closes it with 403
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = [(name, value) for name, value in message["headers"] if name.decode("latin-1") not in HEADERS]
                message["headers"] = there + [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        if self._brings_token(scope, headers):
            await _answer(send_guarded, 303, "", self._cookie())
            return
        refusal = judge(scope["method"], scope["path"], headers, self._settings)
        if refusal is not None:
            await _answer(send_guarded, refusal.status, json.dumps({"error": refusal.text}))
            return
        await self._app(scope, receive, send_guarded)

    def _brings_token(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        """`/?token=...`: the way in for a browser."""
        token = self._settings.token
        if not token or scope["method"] != "GET" or scope["path"] != "/" or not scope["query_string"]:
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return _is_known_host(headers.get("host", ""), self._settings) and _equal(given, token)

    def _cookie(self) -> list[tuple[bytes, bytes]]:
        value = f"{COOKIE}={self._settings.token}; Path=/; HttpOnly; SameSite=Strict"
        return [(b"location", b"/"), (b"set-cookie", value.encode())]


async def _answer(send: Send, status: int, body: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    content = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*content, *(headers or [])]})
    await send({"type": "http.response.body", "body": body.encode()})
