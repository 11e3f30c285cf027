"""The server: does it answer, may it hold queues, does it keep what it is given, may this account use it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pullet_broker.address import PASSWORD_FILE, URL, Address
from pullet_broker.errors import ServerError, ServerRefused, ServerUnavailable
from pullet_broker.inspection import OLDEST, ServerFacts, parse_info, read_facts
from pullet_broker.link import Link
from pullet_console.doctor.findings import Finding, fail, ok, warn
from pullet_console.doctor.rights import NEEDED, WANTED, is_about_keys, is_refused, judge_rights, name_of
from pullet_console.screen import age, size

SKEW_S = 60.0
"""How far the clock of a caller may be from the server's: by the time in its id a job is found again."""
NEARLY_FULL = 0.9


def look_at_server(address: Address | None) -> tuple[list[Finding], bool]:
    """What was found, and whether the server could be asked at all."""
    if address is None:
        text = "none is named: a pool starts a private one, and other programs cannot reach it"
        return [warn("server", text, f"export {URL}=redis://127.0.0.1:6379/0")], True
    link = Link(address, "pullet:doctor", timeout_s=5)
    try:
        link.execute("TIME")  # not PING, which a server without disk space refuses
        return [ok("server", f"{address} answers"), *_examine(link, address)], True
    except ServerRefused as error:
        return [_refused(address, str(error))], False
    except ServerUnavailable as error:
        return [_unreachable(address, str(error))], False
    finally:
        link.close()


def _refused(address: Address, text: str) -> Finding:
    if "NOAUTH" in text or "Authentication required" in text:
        remedy = f"export {PASSWORD_FILE}=<a file with the password>"
    elif "WRONGPASS" in text or "invalid username-password" in text or "invalid password" in text:
        who = f"of user {address.username!r} " if address.username else ""
        remedy = f"put the right password {who}into {address.password_file or 'a file'}, and export {PASSWORD_FILE}"
    else:
        remedy = f"export {URL}=redis://host:6379/0, with the rights that `pullet doctor` lists"
    return fail("server", text, remedy)


def _unreachable(address: Address, text: str) -> Finding:
    where = str(address)
    started = "redis-server --appendonly yes" if "127.0.0.1" in where or "localhost" in where else f"ping {where}"
    return fail("server", text, f"start it ({started}), or export {URL}=<where it is>")


def _examine(link: Link, address: Address) -> list[Finding]:
    info = parse_info(_ask(link, "INFO"))
    save = _ask_list(link, "CONFIG", "GET", "save")
    folder = _ask_list(link, "CONFIG", "GET", "dir")
    facts = read_facts(info, save[1] if len(save) > 1 else None)
    unwritten = judge_writes(info, folder[1] if len(folder) > 1 else "")
    found = [
        judge_version(facts),
        judge_eviction(facts),
        judge_persistence(facts),
        *unwritten,
        judge_memory(facts),
        _clock(link),
    ]
    rights = [] if unwritten else _rights(link, address)  # such a server refuses all writes, to everybody
    return [*(one for one in found if one), *rights]


def _ask(link: Link, *command: str) -> str:
    """The answer, or nothing where this account may not ask."""
    try:
        return str(link.execute(*command).decode(errors="replace"))
    except ServerUnavailable:
        raise
    except ServerError:  # it may not be asked, or does not know the command
        return ""


def _ask_list(link: Link, *command: str) -> list[str]:
    try:
        return [part.decode(errors="replace") for part in link.execute(*command)]
    except ServerUnavailable:
        raise
    except ServerError:
        return []


def judge_version(facts: ServerFacts) -> Finding:
    if facts.version is None:
        return warn("version", "unknown: this account may not use INFO", "ACL SETUSER <user> +info")
    found = f"{facts.kind} {'.'.join(map(str, facts.version))}"
    if facts.version < OLDEST:
        wanted = ".".join(map(str, OLDEST[:2]))
        return fail("version", f"{found}; expected Redis {wanted} or newer, or Valkey", "apt install valkey-server")
    return ok("version", found)


def judge_eviction(facts: ServerFacts) -> Finding | None:
    if facts.eviction is None:
        return None
    remedy = "CONFIG SET maxmemory-policy noeviction (and the same in its configuration file)"
    if facts.eviction.startswith("allkeys-"):
        text = f"maxmemory-policy {facts.eviction}: a full server silently drops queued jobs"
        return fail("eviction", text, remedy)
    if facts.eviction != "noeviction":
        text = f"maxmemory-policy {facts.eviction}: a full server drops replies before anybody has read them"
        return warn("eviction", text, remedy)
    return ok("eviction", "maxmemory-policy noeviction")


def judge_persistence(facts: ServerFacts) -> Finding | None:
    remedy = "CONFIG SET appendonly yes (and appendonly yes in its configuration file)"
    if facts.persistence == "none":
        return warn("persistence", "none: a restart loses all waiting jobs and unread replies", remedy)
    if facts.persistence == "rdb":
        return warn("persistence", "snapshots only: a crash loses the jobs since the last one", remedy)
    return ok("persistence", "append-only file") if facts.persistence else None


def judge_writes(info: Mapping[str, str], folder: str) -> list[Finding]:
    """Does what is to be kept reach the disk? A server that cannot write takes no jobs."""
    where = folder or "its data folder"
    remedy = f"free space where {where} is (df -h {where}); the server goes on by itself within a second"
    found = []
    if info.get("aof_last_write_status", "ok") != "ok":
        text = f"the last write to the append-only file in {where} has failed: the disk is full or read-only"
        found.append(fail("disk", text, remedy))
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        text = f"the last snapshot to {where} has failed: the disk is full, or the memory was not enough to fork"
        found.append(fail("disk", text, remedy))
    return found


def judge_memory(facts: ServerFacts) -> Finding | None:
    if facts.memory is None:
        return None
    if not facts.maxmemory:
        return ok("memory", f"{size(facts.memory)}, no limit")
    text = f"{size(facts.memory)} of {size(facts.maxmemory)}"
    if facts.memory > NEARLY_FULL * facts.maxmemory:
        return warn(
            "memory", f"{text}: nearly full, soon no job is accepted", "CONFIG SET maxmemory <more>, or add workers"
        )
    return ok("memory", text)


def _clock(link: Link) -> Finding:
    before = time.time()
    seconds, micros = link.execute("TIME")
    middle = (before + time.time()) / 2
    return judge_clock(int(seconds) + int(micros) / 1e6 - middle)


def judge_clock(ahead_s: float) -> Finding:
    if abs(ahead_s) <= SKEW_S:
        return ok("clock", f"{age(abs(ahead_s))} from the server's")
    text = f"the server's clock is {age(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    return warn("clock", f"{text}: jobs may not be found by their ids", "timedatectl set-ntp true (on both machines)")


def _rights(link: Link, address: Address) -> list[Finding]:
    refused: list[tuple[str, str]] = []
    wanted: list[str] = []
    for command in (*NEEDED, *WANTED):
        answer = _try(link, command)
        if is_refused(answer) and command in NEEDED:
            refused.append((name_of(command), answer))
        elif is_refused(answer) and not is_about_keys(answer):
            wanted.append(name_of(command))
    return judge_rights(_user(link, address), refused, wanted)


def _try(link: Link, command: tuple[object, ...]) -> str:
    """What the server says against it."""
    try:
        link.execute(*command)  # type: ignore[arg-type]
    except ServerUnavailable:
        raise
    except ServerError as error:
        return str(error.evidence.get("answer") or error)
    return ""


def _user(link: Link, address: Address) -> str:
    try:
        return str(link.execute("ACL", "WHOAMI").decode(errors="replace"))
    except ServerError:
        return address.username or "default"
