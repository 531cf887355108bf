"""What training and evaluating say: classes, slips, and mistakes where a matrix is too wide."""

import itertools


def rows(labels, path):
    texts = ["".join(p) for p in itertools.permutations("头痛发热咳", 3)]
    lines = [f"{text},{label}" for text, label in zip(texts, labels, strict=False)]
    path.write_text("\n".join(["text,label", *lines]) + "\n", "utf-8")
    return path


QUICK = ["--text", "text", "--label", "label", "--epochs", "1", "--hidden-size", "4"]


def test_the_classes_are_named_and_slips_are_told(elman, tmp_path):
    path = rows(["yes", "yes ", "no"] * 20, tmp_path / "slips.csv")
    out = elman("train", "classify", path, *QUICK, "--out", tmp_path / "run").out
    assert "  classes    3: 'yes' 20, 'yes ' 20, 'no' 20\n" in out
    assert "  beware     'yes ' and 'yes' differ in blanks alone\n" in out


def test_many_classes_are_told_by_their_mistakes(elman, tmp_path):
    names = [f"a class with a long name {k}" for k in range(12)]
    path = rows(names * 5, tmp_path / "many.csv")
    elman("train", "classify", path, *QUICK, "--out", tmp_path / "run")
    out = elman("evaluate", tmp_path / "run", path).out
    assert "  mistakes   the commonest of " in out
    assert "--json has the whole matrix" in out
    assert "truth" not in out
    assert any(" taken for a class with a long name" in line for line in out.splitlines())


def test_few_classes_are_told_by_the_matrix(elman, tmp_path):
    path = rows(["yes", "no"] * 30, tmp_path / "few.csv")
    elman("train", "classify", path, *QUICK, "--out", tmp_path / "run")
    assert "truth \\ answer" in elman("evaluate", tmp_path / "run", path).out


def test_the_current_directory_is_no_place_for_a_run(refused, tmp_path, monkeypatch):
    path = rows(["yes", "no"] * 30, tmp_path / "few.csv")
    (tmp_path / "empty" / "below").mkdir(parents=True)
    for here in (tmp_path / "empty" / "below", tmp_path / "empty"):
        monkeypatch.chdir(here)
        assert "is or holds the current directory" in refused(
            "train", "classify", path, *QUICK, "--out", tmp_path / "empty"
        )


def test_semicolons_are_recognised(refused, tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text("text;label\nabc;yes\n", "utf-8")
    line = refused("train", "classify", path, *QUICK, "--out", tmp_path / "run")
    assert line.endswith("separated by semicolons: save it with commas")
