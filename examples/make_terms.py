"""Make ``data/terms_zh.csv``: real Chinese medical terms and one counterfeit of each.

Every term of ``terms/real_terms.txt`` gets one counterfeit with the same characters in another
order, either reversed or shuffled, so nothing but character order tells the two apart. All
choices come from SHA-256 digests, so the file has the same bytes on every machine and Python.

    python examples/make_terms.py           write the file
    python examples/make_terms.py --check   write nothing; exit 1 if the file is out of date
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "terms" / "real_terms.txt"
TARGET = HERE / "data" / "terms_zh.csv"
ATTEMPTS = 200  # shuffles tried for one term before its pair is dropped

# Real or real-sounding wordings that another order of a real term makes: never counterfeits.
READS_AS_REAL = """
    尿血 血尿 血便 便血 短气 喘气 汗多 频尿 晕眩 尿糖 尿酮 干眼 疮疥 颤震 秃斑
    狂躁症 小呆病 腿腰痛 背胸痛 肠胃炎 喉咽炎 咽鼻炎 软肋骨炎 口干苦咽
"""


def digest(key: str) -> str:
    """Return the hex SHA-256 of ``key``: the only source of order in this script."""
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


def read_terms(path: Path) -> list[str]:
    """Return the terms of ``path`` in file order, without blank and comment lines."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    terms = [line for line in lines if line and not line.startswith("#")]
    if len(set(terms)) != len(terms):
        raise ValueError(f"{path.name} lists a term twice")
    return terms


def shuffled(term: str, attempt: int) -> str:
    """Return permutation number ``attempt`` of the characters of ``term``."""
    places = sorted(range(len(term)), key=lambda i: digest(f"shuffle:{term}:{attempt}:{i}"))
    return "".join(term[i] for i in places)


def scrambled(term: str, fake: str) -> bool:
    """Say whether a shuffle breaks up enough of the term's adjacent pairs.

    A shuffle that only moves whole words can still be right: 气短胸闷 for 胸闷气短.
    """
    pairs = {term[i : i + 2] for i in range(len(term) - 1)}
    kept = sum(fake[i : i + 2] in pairs for i in range(len(fake) - 1))
    return kept <= (len(term) - 1) // 3


def candidates(term: str, shuffle: bool) -> Iterator[str]:
    """Yield possible counterfeits of ``term``, the preferred kind first."""
    shuffles = [] if len(term) == 2 else [shuffled(term, i) for i in range(ATTEMPTS)]
    shuffles = [s for s in shuffles if s != term[::-1] and scrambled(term, s)]
    if shuffle:
        yield from shuffles
    yield term[::-1]
    yield from shuffles


def build(terms: list[str]) -> tuple[str, list[str]]:
    """Return the text of the CSV file, and the terms for which no counterfeit was found."""
    # Two-character terms can only be reversed; enough longer ones are shuffled to make half.
    longer = sorted((t for t in terms if len(t) > 2), key=lambda t: digest(f"kind:{t}"))
    to_shuffle = set(longer[: len(terms) // 2])
    taken = set(terms) | set(READS_AS_REAL.split())
    rows: list[tuple[str, str, int]] = []
    dropped: list[str] = []
    for group, term in enumerate(terms):
        fake = next((c for c in candidates(term, term in to_shuffle) if c not in taken), None)
        if fake is None:
            dropped.append(term)
            continue
        taken.add(fake)
        rows += [(term, "real", group), (fake, "fake", group)]
    rows.sort(key=lambda row: digest(f"row:{row[0]}"))
    lines = ["term,label,group", *(f"{term},{label},{group}" for term, label, group in rows)]
    return "\n".join(lines) + "\n", dropped


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Make data/terms_zh.csv from real_terms.txt.")
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    args = parser.parse_args(argv)
    text, dropped = build(read_terms(SOURCE))
    for term in dropped:
        print(f"no counterfeit found, pair dropped: {term}", file=sys.stderr)
    data = text.encode("utf-8")
    if args.check:
        if not TARGET.is_file() or TARGET.read_bytes() != data:
            print(f"{TARGET.name} is out of date: run python examples/make_terms.py")
            return 1
        return 0
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(data)
    print(f"wrote {TARGET.name}: {text.count(chr(10)) - 1} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
