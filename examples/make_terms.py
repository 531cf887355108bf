"""Make ``data/terms_zh.csv``: real Chinese medical terms and one counterfeit of each.

Every term of ``terms/real_terms.txt`` gets one counterfeit with the same characters in another
order, so nothing but character order tells the two apart. The counterfeit is the term reversed;
for about one longer term in eight it is a shuffle instead. All choices come from SHA-256 digests,
so the file has the same bytes on every machine and Python.

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
SHUFFLE_ONE_IN = 8  # of the terms longer than two characters, by digest
ATTEMPTS = 200  # shuffles tried for one term

# Real or real-sounding wordings that another order of a real term makes: never counterfeits.
READS_AS_REAL = """
    眩目晕头 干咽苦口 狂躁症 小呆病 腿腰痛 背胸痛 软肋骨炎 口干苦咽 急尿频尿 痛尿频尿
    头眩目晕 咽痛肿喉 咽苦干口
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
    return kept <= (len(term) - 1) // 4


def candidates(term: str) -> Iterator[str]:
    """Yield possible counterfeits of ``term``, the preferred kind first."""
    backwards = term[::-1]
    if int(digest(f"kind:{term}"), 16) % SHUFFLE_ONE_IN:
        yield backwards
    for attempt in range(ATTEMPTS):
        fake = shuffled(term, attempt)
        if fake != backwards and scrambled(term, fake):
            yield fake
    yield backwards  # all that a two-character term has


def build(terms: list[str]) -> str:
    """Return the text of the CSV file."""
    taken = set(terms) | set(READS_AS_REAL.split())
    rows: list[tuple[str, str, int]] = []
    for group, term in enumerate(terms):
        fake = next((c for c in candidates(term) if c not in taken), None)
        if fake is None:
            raise ValueError(f"every counterfeit of {term} is taken or reads as real: remove it")
        taken.add(fake)
        rows += [(term, "real", group), (fake, "fake", group)]
    rows.sort(key=lambda row: digest(f"row:{row[0]}"))
    return "term,label,group\n" + "".join(f"{t},{label},{group}\n" for t, label, group in rows)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Make data/terms_zh.csv from real_terms.txt.")
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    args = parser.parse_args(argv)
    terms = read_terms(SOURCE)
    data = build(terms).encode("utf-8")
    if args.check:
        if not TARGET.is_file() or TARGET.read_bytes() != data:
            print(f"{TARGET.name} is out of date: run python examples/make_terms.py")
            return 1
        return 0
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(data)
    print(f"wrote {TARGET.name}: {2 * len(terms)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
