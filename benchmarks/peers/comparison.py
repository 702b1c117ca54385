"""Windlass beside each peer: ratios of what was measured in the same rounds, with intervals.

The two turns of a round follow each other, so what slows the machine slows both, and their ratio
keeps. Of the ratios of all rounds the geometric mean is taken, with Student's interval on the
logarithms; medians of single servers are for orientation.
"""

from __future__ import annotations

import math
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

from scipy import stats

from benchmarks.pairs import Ratio
from benchmarks.peers.servers import PEERS, WINDLASS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CONFIDENCE = 0.95


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """The geometric mean of the ratios of paired figures, and its 95 % interval.

    Raises:
        ValueError: the figures are not pairs, less than two, or not all above zero.
    """
    if len(ours) != len(theirs) or len(ours) < 2:
        raise ValueError("a ratio takes at least two figures of each, in pairs")
    if min(*ours, *theirs) <= 0:
        raise ValueError("a ratio takes figures above zero")
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    middle = fmean(logs)
    spread = stdev(logs) / math.sqrt(len(logs))
    margin = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(logs) - 1)) * spread
    return Ratio(math.exp(middle), math.exp(middle - margin), math.exp(middle + margin))


def best_peer(
    figures: Mapping[tuple[str, str], Sequence[float]], path: str, *, most: bool
) -> str | None:
    """The peer with the best median at a path; None where no peer was measured.

    Args:
        figures: by server and path, one for each round.
        path: which is looked at.
        most: whether more is better.
    """
    medians = {name: median(figures[name, path]) for name in PEERS if (name, path) in figures}
    if not medians:
        return None
    return (max if most else min)(medians, key=lambda name: medians[name])


def against(
    figures: Mapping[tuple[str, str], Sequence[float]], name: str, path: str
) -> Ratio | None:
    """Windlass's figures by those of another server at a path; None where either is missing."""
    ours, theirs = figures.get((WINDLASS, path)), figures.get((name, path))
    if name == WINDLASS or not ours or not theirs or min(*ours, *theirs) <= 0:
        return None
    return paired_ratio(ours, theirs)
