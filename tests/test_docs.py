"""The pages that are made from the code, and the rules of its layout."""

import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


def test_pages_are_of_this_code_and_no_import_runs_upwards():
    result = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "module, imported, problem",
    [
        ("layers.pooling", "models.specs.video_resnet", "does not stand below it"),
        ("evaluation.scoring", "training.loop", "does not stand below it"),
        ("data.sampling", "data.dataset", "a circle"),
        ("files", "nowhere.at_all", "stands on no floor"),
    ],
)
def test_problems_are_found(module, imported, problem):
    imports = generate.read_imports()
    assert generate.find_problems(imports) == []
    module, imported = f"smallbig_keras.{module}", f"smallbig_keras.{imported}"
    changed = {**imports, module: [*imports[module], imported]}
    if imported not in imports:
        changed = {**imports, imported: []}
    assert any(problem in line for line in generate.find_problems(changed))


def test_no_import_by_path_and_no_file_without_end():
    for file in [*(ROOT / "smallbig_keras").rglob("*.py"), *(ROOT / "docs").glob("*.py")]:
        text = file.read_text()
        assert not re.search(r"sys\.path\.(append|insert)", text), file
        assert len(text.splitlines()) <= 350, file


def test_headings_of_the_faq_quote_present_messages():
    files = (ROOT / "smallbig_keras").rglob("*.py")
    # A message goes on in the next string.
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in files))
    headings = re.findall("^## `([^`]+)`:", (ROOT / "docs" / "faq.md").read_text(), re.MULTILINE)
    assert len(headings) == 2
    for heading in headings:
        assert heading.replace("SmallBigR50", "{model}") in code, heading


def test_links_between_pages():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
        for name in re.findall(r"`(smallbig_keras/[\w/]+\.\w+)`", page.read_text()):
            assert (ROOT / name).exists(), f"{page.name}: {name}"
