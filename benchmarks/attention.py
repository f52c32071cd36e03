"""What do the primitives on edges cost by backend, against plain torch with arrays of edges, and what could they cost?

    python -m benchmarks.attention [--data FOLDER | --edges N --nodes N] [--heads 8] [--width 8] [--threads 1]
    python -m benchmarks.attention --growth [--backends numba torch] [--most-edges 10000000]

Rivals take turns on the same inputs; forward and backward are timed apart, in float32. `unfused` gathers rows to
edges, exponentiates and adds up (`benchmarks.reference`); a size at which it would take half of the free memory or more
is left out. "roofline" is the time that moving the needed bytes alone would take, as a share of the time it took, at
the bandwidth that a triad had in its turns; `benchmarks.roofline` says how bytes are counted, and what "once" means.
Peaks are of a process for each rival that does forward and backward once, above what was there before, the index arrays
of the graph included.

--growth varies edges (a tenth of nodes), heads and width one at a time, the others as given; heads and width on a graph
of --edges edges, else of a million or of --most-edges if that is less.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

import torch

from benchmarks import graphs, output, reference, roofline
from benchmarks.command import add_backends, new_parser, parsed, positive, run, taken
from benchmarks.measuring import WARM_UP, in_own_process, in_turns, settled, yardstick
from benchmarks.output import ABOVE_MB, TOTAL_MB, Bars, Column, Findings, Panel, Table
from benchmarks.primitives import PRIMITIVES, Case, check_equal, load_libraries

STREAM = "stream"
EDGES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
HEADS, WIDTHS = (1, 2, 4, 8, 16), (1, 2, 4, 8, 16, 32)
GROWTH_EDGES = 1_000_000


def main() -> None:
    """Runs the benchmark."""
    parser = new_parser("attention", __doc__)
    graphs.add_options(parser)
    parser.add_argument("--primitives", nargs="+", default=["relation_attention"], choices=sorted(PRIMITIVES))
    add_backends(parser)
    parser.add_argument("--heads", type=positive, default=8, help="of attention")
    parser.add_argument("--width", type=positive, default=8, help="of a head")
    parser.add_argument("--threads", type=positive, default=1, help="of the CPU")
    parser.add_argument("--repeats", type=positive, default=10, help="measured turns of each rival")
    parser.add_argument("--growth", action="store_true", help="vary edges, heads and width, one at a time")
    parser.add_argument("--most-edges", type=positive, default=EDGES[-1], help="where --growth ends")
    output.add_options(parser)
    options = parsed(parser)
    torch.set_num_threads(options.threads)
    findings = Findings("attention", options)
    (grow if options.growth else compare)(findings, options)
    findings.write()


def compare(findings: Findings, options: argparse.Namespace) -> None:
    """All rivals on one graph."""
    graph = graphs.graph_of(options)
    findings.note(f"{graph.num_nodes:,} nodes, {graph.num_edges:,} edges (self loops included)")
    table = findings.table("primitives", _columns(options.backends))
    for name in options.primitives:
        case = Case(name, graph, options.heads, options.width, options.device)
        _add_rows(findings, table, case, options)
    for key, title, unit in (
        ("total_ms", "forward and backward", "ms"),
        ("above_mb", "peak memory", "MB above what was there"),
        ("forward_roofline", "forward", "share of the roofline"),
    ):
        for name in options.primitives:
            values = table.numbers(key, by="rival", primitive=name)
            findings.pictures.append(Bars(f"{name}: {title}", unit, values))


def grow(findings: Findings, options: argparse.Namespace) -> None:
    """Edges, heads and width, one at a time."""
    columns = [Column("varied", "varied"), Column("value", "value", ",.0f"), *_columns(options.backends)]
    table = findings.table("growth", columns)
    for name in options.primitives:
        for varied, value, case in _growing(name, options):
            _add_rows(findings, table, case, options, varied=varied, value=value)
        for varied in ("edges", "heads", "width"):
            for key, label in (("total_ms", "forward and backward, ms"), ("above_mb", "peak above, MB")):
                series = {}
                for rival in options.backends:
                    points = table.numbers(key, by="value", primitive=name, varied=varied, rival=rival)
                    # Without points where it was left out at every size.
                    if points:
                        series[rival] = [(float(value), number) for value, number in points.items()]
                findings.pictures.append(Panel(name, varied, label, series))


def _growing(name: str, options: argparse.Namespace) -> Iterator[tuple[str, int, Case]]:
    """What is varied, its value, and the case."""
    for edges in [each for each in EDGES if each <= options.most_edges] or [options.most_edges]:
        yield "edges", edges, Case(name, graphs.random_graph(edges), options.heads, options.width, options.device)
    middle = graphs.random_graph(options.edges or min(GROWTH_EDGES, options.most_edges))
    for heads in HEADS:
        yield "heads", heads, Case(name, middle, heads, options.width, options.device)
    for width in WIDTHS:
        yield "width", width, Case(name, middle, options.heads, width, options.device)


def _add_rows(findings: Findings, table: Table, case: Case, options: argparse.Namespace, **where: str | int) -> None:
    """Measures a case: a row for each rival that fits into memory."""
    rivals = reference.fitting(findings, options.backends, case.graph.num_edges, case.heads, case.width, case.device)
    if not options.growth:
        check_equal(case, rivals)
    turns = {name: case.passes(name).turn for name in rivals}
    # Bytes a second are told as seconds a byte, so that all turns give seconds.
    turns[STREAM] = lambda: {STREAM: 1 / roofline.stream_bandwidth(case.device)}
    seconds = in_turns(turns, WARM_UP + options.repeats)
    per_byte, moved = settled(seconds[STREAM, STREAM]), case.moved()
    found = {name: [settled(seconds[part, name]) for part in ("forward", "backward")] for name in rivals}
    # What the turns hold is not to be resident while other processes measure.
    turns.clear()
    if case.device != "cpu":
        torch.cuda.empty_cache()
    other = yardstick(options.backends)
    for name, (forward, backward) in found.items():
        used = in_own_process(_once, case, name, options.threads)
        table.add(
            primitive=case.primitive,
            rival=name,
            forward_ms=1000 * forward,
            backward_ms=1000 * backward,
            total_ms=1000 * (forward + backward),
            faster=sum(found[other]) / (forward + backward) if other in found else None,
            forward_roofline=per_byte * moved.forward.gathered / forward,
            backward_roofline=per_byte * moved.backward.gathered / backward,
            forward_roofline_once=per_byte * moved.forward.once / forward,
            backward_roofline_once=per_byte * moved.backward.once / backward,
            above_mb=used.above,
            total_mb=used.total,
            bandwidth_gb_s=1e-9 / per_byte,
            **where,
        )


def _once(case: Case, rival: str, threads: int) -> Callable[[], object]:
    """Forward and backward, in a process of their own."""
    taken(case.device)
    torch.set_num_threads(threads)
    load_libraries(rival, case.primitive, case.device)
    return case.passes(rival).turn


def _columns(rivals: Sequence[str]) -> list[Column]:
    return [
        Column("primitive", "primitive"),
        Column("rival", "rival"),
        Column("forward_ms", "forward, ms", ".1f"),
        Column("backward_ms", "backward, ms", ".1f"),
        Column("faster", f"{yardstick(rivals)} / it", ".2f"),
        Column("forward_roofline", "roofline, fwd", ".2f"),
        Column("backward_roofline", "bwd", ".2f"),
        Column("forward_roofline_once", "once, fwd", ".2f"),
        Column("backward_roofline_once", "bwd", ".2f"),
        ABOVE_MB,
        TOTAL_MB,
        Column("bandwidth_gb_s", "triad, GB/s", ".1f"),
    ]


if __name__ == "__main__":
    run(main)
