"""What report.html says of the training it is a page of, while that runs."""

import math
import time
from collections.abc import Mapping

from elman.report.frame import Markup, Words, as_number, number, paragraph
from elman.train import Progress

_SOONEST, _LATEST = 5, 60  # seconds after which a browser looks at the page again

TITLES = {
    "classify": Words("This classifier is learning", "这个分类器正在学习"),
    "generate": Words("This generator is learning", "这个生成器正在学习"),
    "forecast": Words("This forecaster is learning", "这个预测器正在学习"),
}


def titled(task: str, at: Progress) -> Words:
    """The headline: who learns, and how far it is."""
    of = TITLES.get(task, Words("This model is learning", "这个模型正在学习"))
    return Words(
        f"{of.en}: epoch {at.epoch} of {at.epochs}", f"{of.zh}：第 {at.epoch} 轮，共 {at.epochs} 轮"
    )


def again(at: Progress) -> int:
    """Seconds after which there may be a newer page: about as long as an epoch takes."""
    return min(_LATEST, max(_SOONEST, math.ceil(at.elapsed / max(1, at.epoch))))


def banner(at: Progress) -> Markup:
    """That the training is under way, when this was written, and how to tell that it died."""
    # the reader's clock is to be held against it
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    so_far, left, every = span(at.elapsed), span(at.eta), again(at)
    head = Words(
        f"The training is under way: epoch {at.epoch} of {at.epochs} is over. Written at {when}, "
        f"after {so_far.en} of training; at most about {left.en} to go.",
        f"训练进行中：共 {at.epochs} 轮，第 {at.epoch} 轮已结束。写于 {when}，已训练 {so_far.zh}；"
        f"最多还要约 {left.zh}。",
    )
    rest = Words(
        f"This page is written anew after an epoch, and reloads itself every {every} s. If the "
        "time above falls far behind the clock, the training has ended early or was killed; the "
        "same command with --resume goes on with it. What the network answers below, it answered "
        f"after epoch {at.epoch}. How good it is on what it never saw is measured at the end, and "
        "the finished report then is report.html of the run directory.",
        f"每轮之后重写本页；页面每 {every} 秒自动刷新。若上面的时间远远落后于时钟，"
        "训练就已提前结束或被终止；用同一条命令加 --resume 可以继续。"
        f"下面的回答是第 {at.epoch} 轮之后的。"
        "在从未见过的数据上有多好，最后才测；那时运行目录里的 report.html 就是完整的报告。",
    )
    return Markup(f'<div class="live">{paragraph(head)}{paragraph(rest, "hint")}</div>')


def standing(at: Progress, names: Mapping[str, Words]) -> list[tuple[Words, Markup, Words | None]]:
    """Figures in large type: the losses, and what else is known of the rows that stop.

    Args:
        at: the end of an epoch.
        names: what to call a figure.
    """
    record = at.record or {}
    known = {
        name: found
        for name, value in record.items()
        if (found := as_number(value)) is not None and (name == "loss" or name[:6] == "valid_")
    }
    told = {
        "loss": Words("loss on what it learns from", "学习用的数据上的损失"),
        "valid_loss": Words("loss on the rows that stop", "用于早停的数据上的损失"),
        **names,
    }
    lowest = _lowest(at)
    return [
        (told[name], number(value), lowest if name == "valid_loss" else None)
        for name, value in known.items()
        if name in told
    ]


def _lowest(at: Progress) -> Words | None:
    losses = [(as_number(record.get("valid_loss")), record["epoch"]) for record in at.records]
    known = [(loss, epoch) for loss, epoch in losses if loss is not None]
    if not known:
        return None
    loss, epoch = min(known)
    return Words(f"lowest: {loss:.4g}, after epoch {epoch}", f"最低：{loss:.4g}，第 {epoch} 轮后")


def span(seconds: float) -> Words:
    """How long, as a person says it.

    >>> span(8.2).en, span(754).en, span(9000).zh
    ('8 s', '12 min 34 s', '2 小时 30 分')
    """
    whole = round(seconds)
    if whole < 60:
        return Words(f"{whole} s", f"{whole} 秒")
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return Words(f"{minutes} min {rest} s", f"{minutes} 分 {rest} 秒")
    hours, minutes = divmod(minutes, 60)
    return Words(f"{hours} h {minutes} min", f"{hours} 小时 {minutes} 分")
