"""What the next hour on a GPU would decide: studies by the printed numbers and claims that an hour settles.

An hour is filled from the top with whole studies that fit and decide something that those above them do not.
What several of them decide counts once; networks that they share are priced for each, so an hour may need
less.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from rs.errors import plural
from rs.plan.price import in_words
from rs.report.numerals import order

MOST = 8  # studies of the list
Left = tuple[Collection[str], Collection[str]]  # keys of the numbers and of the claims that a study decides


@dataclass(frozen=True)
class Offer:
    """What running a study to its end would decide, and its hours."""

    study: str
    numbers: frozenset[str]
    claims: frozenset[str]
    hours: float

    @property
    def per_hour(self) -> float:
        return (len(self.numbers) + len(self.claims)) / self.hours

    @property
    def counted(self) -> str:
        parts = [(len(self.numbers), "number"), (len(self.claims), "claim")]
        return " and ".join(plural(n, what, spec=",") for n, what in parts if n)

    @property
    def cost(self) -> str:
        return in_words(self.hours) if self.hours >= 0.005 else "less than 0.01"


def offers(left: Mapping[str, Left], hours: Mapping[str, float]) -> list[Offer]:
    """The studies with a known price that have something `left` to decide, numbers and claims; the most per
    hour first.
    """
    offers = []
    for study, price in hours.items():
        numbers, claims = (frozenset(keys) for keys in left.get(study, ((), ())))
        if price > 0 and (numbers or claims):
            offers.append(Offer(study, numbers, claims, price))
    return sorted(offers, key=lambda offer: (-offer.per_hour, order(offer.study)))


def fits(offers: Sequence[Offer]) -> list[Offer]:
    """The offers that fit into an hour and add to what is decided, taken from the top."""
    taken: list[Offer] = []
    for offer in offers:
        whole = _joined(taken)
        adds = not (offer.numbers <= whole.numbers and offer.claims <= whole.claims)
        if adds and whole.hours + offer.hours <= 1:
            taken.append(offer)
    return taken


def _joined(taken: Sequence[Offer]) -> Offer:
    """What these decide together, each number and claim once."""
    numbers, claims = (
        frozenset[str]().union(*sets) for sets in ([o.numbers for o in taken], [o.claims for o in taken])
    )
    return Offer("", numbers, claims, sum(o.hours for o in taken))


def sentence(offers: Sequence[Offer], machine: str) -> str:
    """The index page's line; empty where nothing with a known price is left."""
    if not offers:
        return ""
    taken = fits(offers)
    if not taken:
        first = min(offers, key=lambda offer: (offer.hours, order(offer.study)))
        head = f"Nothing that is left fits into one {machine} hour"
        return f"{head}; the cheapest, {first.study}, decides {first.counted} in {first.cost}."
    whole = _joined(taken)
    names = [offer.study for offer in taken]
    which = ", ".join(names[:-1]) + " and " * (len(names) > 1) + names[-1]
    return f"The next {machine} hour would decide {whole.counted}: {which} ({whole.cost} hours)."
