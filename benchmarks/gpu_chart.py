"""A picture of benchmarks/results/gpu.csv: the ratios of the table, without the grid's."""

from collections.abc import Mapping, Sequence

from elman.bench.chart import Words, chart

Row = Mapping[str, str]


def picture(rows: Sequence[Row]) -> str:
    """`docs/gpu.svg`."""
    ours = [r for r in rows if r["contestant"] == "elman" and not r["case"].startswith("grid")]
    told = ours[0]

    def heading(row: Row) -> str:
        return f"{row['shape']}; {row['dtype']}"

    def notes(_: object) -> tuple[str, str]:
        versions = f"torch {told['torch']}, cuDNN {told['cudnn']}"
        return told["card"], f"{versions}; medians of one run, by turns, {told['date']}"

    words = Words("on a GPU", "torch.nn.RNN on cuDNN, which has no double backward", heading, notes)
    return chart([{**row, "contestant": "torch"} for row in ours], words)
