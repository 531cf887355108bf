"""A classifier's part of report.html: who was taken for whom, and the surest mistakes."""

from collections import defaultdict

from elman.report.frame import Markup, Words, both, number, paragraph, section, shown, table
from elman.tasks.evidence import ClassifierEvidence, Evidence, Wrong
from elman.tasks.report import WHICH

_WHOLE = 20  # classes of which the whole matrix is shown
_PAIRS = 30  # of more classes, confusions shown


def classifier_parts(of: Evidence | None) -> list[str]:
    """The sections; none where there is no evidence, or a number in it fits no class."""
    if not isinstance(of, ClassifierEvidence):
        return []
    numbers = [n for t, a, _ in of.counts for n in (t, a)]
    numbers += [n for wrong in of.wrong for n in (wrong.truth, wrong.answer)]
    if any(n >= len(of.classes) for n in numbers):
        return []
    parts: list[str] = [
        section(
            Words("Who was taken for whom", "混淆矩阵"),
            paragraph(WHICH[of.on], "hint"),
            _matrix(of) if len(of.classes) <= _WHOLE else _pairs(of),
        )
    ]
    if of.wrong:
        cases = "".join(_case(of, wrong) for wrong in of.wrong)
        parts.append(
            section(
                Words("Most surely wrong", "错得最有把握的例子"),
                paragraph(
                    Words(
                        "The wrong answers the model was surest of. Look here first for labels "
                        "that are themselves wrong.",
                        "模型最有把握却答错的例子。标签本身有误的，往往先在这里现形。",
                    ),
                    "hint",
                ),
                f'<ul class="cases">{cases}</ul>',
            )
        )
    return parts


def _matrix(of: ClassifierEvidence) -> Markup:
    times = {(truth, answer): n for truth, answer, n in of.counts}
    totals: dict[int, int] = defaultdict(int)
    for truth, _, n in of.counts:
        totals[truth] += n
    corner = both(Words("truth ↓  answer →", "真实 ↓  回答 →"))
    head = "".join(f'<th scope="col"><bdi>{shown(name)}</bdi></th>' for name in of.classes)
    rows = []
    for t, name in enumerate(of.classes):
        cells = []
        for a in range(len(of.classes)):
            n = times.get((t, a), 0)
            share = n / totals[t] if totals[t] else 0.0
            kind = f"s{min(4, int(share * 5))}" + (" right" if t == a else "")
            percent = f"<small>{share:.1%}</small>" if totals[t] else ""
            cells.append(f'<td class="{kind}">{number(n, ",.0f")}{percent}</td>')
        rows.append(f'<tr><th scope="row"><bdi>{shown(name)}</bdi></th>{"".join(cells)}</tr>')
    hint = paragraph(
        Words(
            "Rows are the truth, columns the answers; percentages are of the row. Outlined: right.",
            "行是真实类别，列是模型的回答；百分比按行计算。描边的是答对的。",
        ),
        "hint",
    )
    return Markup(
        f'<div class="card matrix"><div class="scroll"><table><thead><tr><th>{corner}</th>{head}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{hint}</div>"
    )


def _pairs(of: ClassifierEvidence) -> Markup:
    """The commonest confusions where a matrix would have too many cells."""
    wrong = sorted((p for p in of.counts if p[0] != p[1]), key=lambda p: -p[2])[:_PAIRS]
    rows = [
        (shown(of.classes[truth]), shown(of.classes[answer]), number(n, ",.0f"))
        for truth, answer, n in wrong
    ]
    heads = [Words("truth", "真实"), Words("taken for", "被当作"), Words("times", "次数")]
    return Markup(f'<div class="card">{table(heads, rows)}</div>')


def _case(of: ClassifierEvidence, wrong: Wrong) -> str:
    truth, answer = (f"<bdi>{shown(of.classes[k])}</bdi>" for k in (wrong.truth, wrong.answer))
    width = round(100 * min(1.0, max(0.0, wrong.probability)), 2)
    said = both(Words("answered", "回答"))
    meant = both(Words("it is", "实为"))
    return (
        f"<li><bdi>{shown(wrong.shown)}</bdi><p>{said} <b>{answer}</b> "
        f"({number(wrong.probability, '.3f')}) · {meant} <b>{truth}</b></p>"
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="full" width="100" height="6"/>'
        f'<rect class="part" width="{width}" height="6"/></svg></li>'
    )
