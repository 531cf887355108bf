"""A generator's part of report.html: what it wrote after each epoch."""

from typing import Any

from elman.report.frame import Words, as_number, both, number, paragraph, section, shown
from elman.tasks.report import kept_epoch

_MOST = 30  # samples shown


def generator_parts(records: list[dict[str, Any]]) -> list[str]:
    """The section of the samples that the records hold; none where there are none.

    Args:
        records: of the epochs.
    """
    best = kept_epoch(records)
    told = [r for r in records if isinstance(r.get("sample"), str) and type(r.get("epoch")) is int]
    if not told:
        return []
    every = -(-len(told) // _MOST)
    last = len(told) - 1
    few = [r for k, r in enumerate(told) if k % every == 0 or k == last or r["epoch"] == best]
    return [
        section(
            Words("What it wrote, epoch by epoch", "逐轮的习作"),
            paragraph(
                Words(
                    "Drawn with the same random numbers after each epoch, from an empty prompt at "
                    "temperature 0.8: what differs is what was learned.",
                    "每轮之后都用同样的随机数、从空白开头、以温度 0.8 写成："
                    "不同之处就是学到的东西。",
                ),
                "hint",
            ),
            f'<ol class="samples">{"".join(_item(r, r["epoch"] == best) for r in few)}</ol>',
        )
    ]


def _item(record: dict[str, Any], kept: bool) -> str:
    epoch = record["epoch"]
    facts: list[str] = [both(Words(f"epoch {epoch}", f"第 {epoch} 轮"))]
    if as_number(record.get("valid_loss")) is not None:
        loss = both(Words("held-out loss", "留出损失"))
        facts.append(f"{loss} {number(record['valid_loss'])}")
    if kept:
        facts.append(both(Words("weights kept", "保留的权重")))
    mark = ' class="kept"' if kept else ""
    return f"<li{mark}><p>{' · '.join(facts)}</p><pre>{shown(record['sample'])}</pre></li>"
