"""A forecaster's part of report.html: forecasts beside what came and beside naive ones."""

from elman.report.charts import Chart, Line, Points, draw
from elman.report.frame import Markup, Words, paragraph, section
from elman.tasks.evidence import Column, Evidence, ForecasterEvidence, Told
from elman.tasks.report import WHICH

_MODEL = Words("this model", "本模型")
_NAIVE = Words("naive: the last value", "朴素预测：最后一个值")


def forecaster_parts(evidence: Evidence | None) -> list[str]:
    """The section; a series that does not fit its labels is left out."""
    if not isinstance(evidence, ForecasterEvidence):
        return []
    fitting = [column for column in evidence.columns if _fits(column, len(evidence.labels))]
    if not fitting:
        return []
    figures: list[Markup] = []
    for column in fitting:
        figures += [draw(_course(column, evidence)), draw(_errors(column))]
    hint = paragraph(WHICH[evidence.on], "hint")
    return [section(Words("Forecast against truth", "预测与真实"), hint, *figures)]


def _fits(column: Column, rows: int) -> bool:
    alike = all(
        len({len(t.model), len(t.lower), len(t.upper), len(t.naive), len(t.seasonal)}) == 1
        for t in column.told
    )
    same = {len(column.mae), len(column.naive), len(column.seasonal)}
    inside = all(t.row + len(t.model) <= rows and t.model for t in column.told)
    whole = bool(column.told) and len(column.truth) == rows
    return whole and alike and inside and len(same) == 1 and bool(column.mae)


def _seasonal(season: int) -> Words:
    return Words(f"seasonal-naive: {season} steps before", f"季节朴素预测：{season} 步之前的值")


def _course(column: Column, evidence: ForecasterEvidence) -> Chart:
    def line(name: Words, style: int, of: str) -> Line:
        parts = [_from(told.row, getattr(told, of)) for told in column.told]
        return Line(name, parts[0], style, parts=parts[1:])

    truth = Line(Words("what came", "真实值"), _from(0, column.truth), 4, marked=True)
    lines = [line(_MODEL, 0, "model"), truth, line(_NAIVE, 1, "naive")]
    if column.season > 1:
        lines.append(line(_seasonal(column.season), 2, "seasonal"))
    horizon, nominal = len(column.told[0].model), evidence.nominal
    labels = evidence.labels
    return Chart(
        _titled(Words("forecasts and what came", "预测与真实值"), column.name),
        lines,
        Words("row", "行"),
        Words(
            f"Each piece is one forecast, made from the row before it, {horizon} steps ahead; then "
            f"the next begins. The shaded interval should hold {nominal:.0%} of the values.",
            f"每一段是一次预测：站在它之前的一行，向前看 {horizon} 步，然后开始下一段。"
            f"阴影区间应包含 {nominal:.0%} 的真实值。",
        ),
        bands=[band for told in column.told if (band := _band(told))],
        band_name=Words(f"{nominal:.0%} interval of this model", f"本模型的 {nominal:.0%} 区间"),
        tick=lambda x: labels[int(x)] if 0 <= x < len(labels) else "",
        form=".5g",
    )


def _titled(words: Words, name: str) -> Words:
    return Words(f"{name}: {words.en}", f"{name}：{words.zh}")


def _from(row: int, values: list[float]) -> Points:
    return [(float(row + k), value) for k, value in enumerate(values)]


def _band(told: Told) -> list[tuple[float, float, float]]:
    ends = zip(told.lower, told.upper, strict=True)
    return [
        (float(told.row + k), low, high)
        for k, (low, high) in enumerate(ends)
        if low is not None and high is not None
    ]


def _errors(column: Column) -> Chart:
    """Mean absolute error by how far ahead."""
    lines = [
        Line(_MODEL, _from(1, column.mae), 0),
        Line(_NAIVE, _from(1, column.naive), 1),
    ]
    if column.season > 1:
        lines.append(Line(_seasonal(column.season), _from(1, column.seasonal), 2))
    return Chart(
        _titled(
            Words("mean absolute error, step by step ahead", "逐步的平均绝对误差"), column.name
        ),
        lines,
        Words("steps ahead", "向前步数"),
        Words(
            "Over every row that could be an origin. Below the dashed lines the model is worth "
            "having.",
            "对所有可能的起点取平均。低于虚线处，模型才有用。",
        ),
    )
