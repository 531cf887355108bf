"""What the site itself says, in both languages."""

WORDS = {
    "en": {
        "menu": "Contents",
        "skip": "Skip to the text",
        "learn": "Learn from zero",
        "pages": "Reference",
        "project": "The project",
        "home": "Overview",
        "other": "中文",
        "only": "",
        "interactive": "Step through it: {name}",
        "open": "open on a page of its own",
    },
    "zh-CN": {
        "menu": "目录",
        "skip": "跳到正文",
        "learn": "从零开始学",
        "pages": "参考",
        "project": "项目",
        "home": "概览",
        "other": "English",
        "only": "（英文）",
        "interactive": "逐步查看：{name}",
        "open": "单独打开此页",
    },
}
