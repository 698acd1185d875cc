"""This week's baskets: what the neighbours may buy together. A real shop would keep them in a table."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Basket:
    """Offer one thing that gets cheaper once enough neighbours take part."""

    picture: str
    title: str
    maker: str
    alone: str
    together: str
    joined: int
    wanted: int
    closes: str

    @property
    def missing(self) -> int:
        """Count the neighbours who are still needed."""
        return max(self.wanted - self.joined, 0)


THIS_WEEK = (
    Basket(
        picture="baskets/oil.svg",
        title="Olive oil, first pressing",
        maker="Moulin Castel, 3 litre tin",
        alone="€48",
        together="€36",
        joined=17,
        wanted=20,
        closes="Thursday",
    ),
    Basket(
        picture="baskets/apples.svg",
        title="Crate of orchard apples",
        maker="Verger des Hauts, 8 kg mixed",
        alone="€22",
        together="€15",
        joined=12,
        wanted=12,
        closes="Friday",
    ),
    Basket(
        picture="baskets/bread.svg",
        title="Sourdough, four weeks",
        maker="Fournil Saint-Roch, one loaf a week",
        alone="€26",
        together="€20",
        joined=6,
        wanted=15,
        closes="Sunday",
    ),
)
