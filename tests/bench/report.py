# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, as a document, a table and a plot. Medians of the rounds; ratios are of the best peer of each job to the engine."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any, Optional

from bench.jobs import Results

OURS = "asl"
# Jobs that are about files, not about bytes.
FILES = "unchanged"
COLOURS = {"asl": "#0b6e4f", "restic": "#8a8f98", "borg": "#b6bac1", "casync": "#d7d9dd"}


def rows(results: Results) -> list[dict[str, Any]]:
    """One row for each job and tool: medians, rates, and the ratio of the best peer's wall and CPU time to the engine's."""
    found = []
    for (name, tool), costs in results.costs.items():
        files, size = results.shapes[name]
        wall, cpu = median(each.wall for each in costs), median(each.cpu for each in costs)
        row: dict[str, Any] = {
            "job": name, "tool": tool, "files": files, "bytes": size, "wall": round(wall, 3), "cpu": round(cpu, 3),
            "peak": round(median(each.peak for each in costs)), "added": results.added[name, tool],
            "runs": [{"wall": round(each.wall, 3), "cpu": round(each.cpu, 3), "peak": each.peak} for each in costs],
        }  # fmt: skip
        row["rate"], row["cpu_rate"] = ((files if FILES in name else size) / each for each in (wall, cpu))
        found.append(row)
    order = list(dict.fromkeys(name for name, _ in results.costs))
    return sorted(found, key=lambda row: (order.index(row["job"]), row["tool"] != OURS))


def ratios(table: list[dict[str, Any]]) -> dict[str, dict[str, Optional[float]]]:
    """By job: how many times the wall and CPU time of the engine its best peer took, and how much it added to the store."""
    found: dict[str, dict[str, Optional[float]]] = {}
    for name in dict.fromkeys(row["job"] for row in table):
        ours = [row for row in table if row["job"] == name and row["tool"] == OURS]
        peers = [row for row in table if row["job"] == name and row["tool"] != OURS]
        if ours and peers:
            found[name] = {
                key: round(min(row[key] for row in peers) / ours[0][key], 2) if ours[0][key] else None for key in ("wall", "cpu", "added")
            }
    return found


def text(table: list[dict[str, Any]]) -> str:
    """The table, for people. MB are millions of bytes."""
    lines = [
        f"{'job':34s} {'tool':7s} {'wall s':>8s} {'rate':>14s} {'CPU s':>8s} {'per CPU s':>14s} {'peak MiB':>8s} {'added MB':>9s}  peer/asl"
    ]
    against, last = ratios(table), ""
    for row in table:
        name = row["job"]
        best = against.get(name)
        ratio = f"  {best['wall']:.1f}x wall, {best['cpu']:.1f}x CPU" if best and row["tool"] == OURS else ""
        lines.append(
            f"{name if name != last else '':34s} {row['tool']:7s} {row['wall']:8.2f} {_rate(row, 'rate'):>14s} {row['cpu']:8.2f} "
            f"{_rate(row, 'cpu_rate'):>14s} {row['peak'] >> 20:8d} {row['added'] / 1e6:9.1f}{ratio}"
        )
        last = name
    return "\n".join(lines)


def _rate(row: dict[str, Any], key: str) -> str:
    return f"{row[key]:,.0f} files/s" if FILES in row["job"] else f"{row[key] / 1e6:,.0f} MB/s"


def plot(table: list[dict[str, Any]], path: Path, caption: str) -> None:
    """Bars: the rate of each tool in each job, by the clock and by CPU time, in multiples of the best peer's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    jobs = list(dict.fromkeys(row["job"] for row in table))
    tools = [tool for tool in COLOURS if any(row["tool"] == tool for row in table)]
    figure, panels = pyplot.subplots(1, 2, figsize=(12, 0.52 * len(jobs) + 1.4), sharey=True)
    for panel, key, title in zip(panels, ("rate", "cpu_rate"), ("by the clock", "per second of CPU")):
        for number, tool in enumerate(tools):
            places, lengths = [], []
            for place, name in enumerate(jobs):
                mine = [row[key] for row in table if row["job"] == name and row["tool"] == tool]
                best = max((row[key] for row in table if row["job"] == name and row["tool"] != OURS), default=0)
                if mine and best:
                    places.append(place + (number - (len(tools) - 1) / 2) * 0.2)
                    lengths.append(mine[0] / best)
            panel.barh(places, lengths, 0.19, color=COLOURS[tool], label=tool)
        panel.axvline(1, color="#444", linewidth=0.8)
        panel.set_title(f"rate {title}, best peer = 1", fontsize=10)
        panel.tick_params(labelsize=9)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    panels[0].set_yticks(range(len(jobs)), jobs)
    panels[0].invert_yaxis()
    panels[1].legend(frameon=False, fontsize=9, loc="lower right")
    figure.text(0.01, 0.005, caption, fontsize=8, color="#444")
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, dpi=110)
