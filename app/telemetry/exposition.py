"""The text in which Prometheus reads metrics (version 0.0.4 of the format)."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from app.telemetry import catalogue
from app.telemetry.catalogue import GAUGE, HISTOGRAM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from app.telemetry.catalogue import Metric
    from app.telemetry.memory import Key
    from app.telemetry.totals import Labels, Totals

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple["Metric", "Labels", float]
"""A metric that is found out when somebody asks, its labels and its value."""


def render(totals: Totals, read: Iterable[Sample]) -> bytes:
    """All metrics as text.

    Args:
        totals: what was counted.
        read: what is found out now.
    """
    lines: list[str] = []
    for metric in (catalogue.REQUESTS, *catalogue.KEPT):
        _add(lines, metric, sorted(_kept(metric, totals)))
    by_metric: dict[str, list[str]] = {}
    for metric, labels, value in read:
        by_metric.setdefault(metric.name, []).append(_line(metric.name, labels, value))
    for metric in catalogue.READ_AT_SCRAPE:
        _add(lines, metric, by_metric.get(metric.name, []))
    return "\n".join([*lines, ""]).encode()


def _add(
    lines: list[str], metric: Metric, samples: Sequence[str | tuple[Labels, list[str]]]
) -> None:
    if not samples:
        return
    lines.append(f"# HELP {metric.name} {metric.meaning.replace(chr(92), chr(92) * 2)}")
    lines.append(f"# TYPE {metric.name} {metric.kind}")
    for sample in samples:
        lines += [sample] if isinstance(sample, str) else sample[1]


def _kept(metric: Metric, totals: Totals) -> Iterator[tuple[Labels, list[str]]]:
    """The lines of each combination of labels."""
    name = metric.name
    if metric.kind == GAUGE:
        for (key, slot), value in totals.gauges.items():
            if key.name == name:
                labels = (*key.labels, ("worker", str(slot))) if metric.per_worker else key.labels
                yield labels, [_line(name, labels, value)]
        return
    if metric is catalogue.REQUESTS:
        for labels, count in totals.requests().items():
            yield labels, [_line(name, labels, count)]
        return
    for key, values in totals.of(name).items():
        if metric.kind != HISTOGRAM:
            yield key.labels, [_line(name, key.labels, values[0])]
        # What an earlier release had in other buckets cannot be added to these.
        elif key.bounds == metric.bounds:
            yield key.labels, list(_histogram(key, values))


def _histogram(key: Key, values: list[float]) -> Iterator[str]:
    *sums, count = accumulate(values[:-1])
    for bound, below in zip(key.bounds, sums, strict=True):
        yield _line(f"{key.name}_bucket", (*key.labels, ("le", _number(bound))), below)
    yield _line(f"{key.name}_bucket", (*key.labels, ("le", "+Inf")), count)
    yield _line(f"{key.name}_sum", key.labels, values[-1])
    yield _line(f"{key.name}_count", key.labels, count)


def _line(name: str, labels: Labels, value: float) -> str:
    if not labels:
        return f"{name} {_number(value)}"
    inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{inner}}} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
