"""What must hold of a queue after every step of a story, whatever has happened: its promises."""

from __future__ import annotations

from collections import Counter

from tests.support.model import LIMITS, Model


def check(model: Model) -> None:
    """Look at the queue, compare it with what the model knows, and let the model know how jobs ended meanwhile."""
    seen = model.look()
    places = Counter(seen.live)
    for job in model.jobs:
        over = job in seen.replies or job in model.read
        assert places[job] + over == (job in model.accepted), f"{job}: {places[job]} places, ended: {over}"
    assert seen.pending.keys() <= seen.entries.keys()
    assert sorted(seen.parked) == sorted(seen.due)
    for job, reply in seen.replies.items():
        if job not in model.replies:
            assert job in model.asked or not reply.startswith(b"cancelled"), f"{job} was not cancelled in this life"
            model.end(job, reply)
        assert model.replies[job] == reply
        assert job not in model.read
    assert Counter(seen.mail) == Counter(model.replies.keys()) + model.mail
    assert seen.open_names == {job for job in seen.live if model.jobs[job].named}
    assert seen.buried == {job: place for place, job in seen.letters.items()}
    assert {job for job in seen.buried if not model.jobs[job].named} <= model.replies.keys()
    for job, place in seen.buried.items():
        model.dead.setdefault(place, model.jobs[job])
    assert len(seen.letters) <= LIMITS.dead_letters
    large = {job for job in places if model.is_large(model.jobs[job])}
    assert {job for job, passing in seen.blobs.items() if not passing} == large
    names = model.scribe.names()
    assert {name.removeprefix("jobs:at:") for name in names if name.startswith("jobs:at:")} == seen.places
    for name in model.scribe.drafts():
        assert model.scribe.link.execute("PTTL", model.scribe.key(name)) > 0
    assert {job for job, passing in seen.blobs.items() if passing} <= seen.large_letters
    for hand in filter(None, model.hands):
        assert set(hand.places_of(hand.held)) <= model.pending_at(hand, seen)
    model.sound = True
