"""Texts for people: safe to show, and numbers with their units. Pure."""

from __future__ import annotations

_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_SHORT_DIGEST = 12
_CENTS = 100


def visible(text: str) -> str:
    """Return the text with every character that is not shown as itself written as an escape.

    What an account holds may contain escape sequences of terminals, or marks that reverse the
    direction of what follows.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def human_size(size: int) -> str:
    """Return a size in bytes as B, kB, MB, GB or TB (powers of 1000)."""
    for unit, divisor in _UNITS:
        if size >= divisor:
            number = size / divisor
            return f"{number:.1f} {unit}" if divisor >= 10**9 else f"{number:.0f} {unit}"
    return f"{size} B"


def dollars(size: int, price: float) -> str:
    """Return what storing so many bytes costs in a month at a price for 10^9 bytes."""
    cost = size / 10**9 * price
    if 0 < cost < 1 / _CENTS:
        return "< $0.01"
    return f"${cost:,.2f}"


def price_tag(price: float) -> str:
    """Return a price in dollars, with cents or as precise as it is."""
    return f"${price:.2f}" if round(price, 2) == price else f"${price:g}"


def short_digest(digest: str) -> str:
    """Return the first hexadecimal digits, enough to distinguish the images of a repository."""
    algorithm, colon, digits = digest.partition(":")
    return digits[:_SHORT_DIGEST] if colon else algorithm


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun in singular or plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or f'{noun}s'}"


def repositories(number: int) -> str:
    """Return a number of repositories."""
    return counted(number, "repository", "repositories")
