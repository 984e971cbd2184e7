"""The code digest against random edits of the project's own modules, each of which has a meaning.

An edit of a function, class or constant that a script reaches changes the script's digest, and by
that part alone; any other leaves it as it is.
"""

import ast
import importlib.util
import shutil
from pathlib import Path

import pytest

from draws import draws
from seedbed import provenance as original

SCRIPTS = Path(original.__file__).resolve().parent.parent
EDITS = 40
ENGINE = "seedbed.engines.transformers_engine"
OTHER_WAYS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Lt: ast.LtE,
    ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or,
    ast.Or: ast.And,
}  # fmt: skip


def counting(call):
    """Return the keywords of a call, but for what fields of the configuration say of themselves."""
    field = isinstance(call.func, ast.Name) and call.func.id == "Field"
    about = ("description", "json_schema_extra") if field else ()
    return [one for one in call.keywords if one.arg not in about]


def meant(node):
    """Yield the parts of a tree that mean something: no bare strings, no annotations."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "ctx"):
            continue
        if field == "keywords" and isinstance(node, ast.Call):
            value = counting(node)
        for child in value if isinstance(value, list) else [value]:
            bare = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            checking = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            if isinstance(child, ast.AST) and not (bare or checking):
                yield child
                yield from meant(child)


def changed(node):
    """Change what a node means, in place, and return whether that could be done."""
    for field in ("op", "ops"):
        found = getattr(node, field, None)
        first = found[0] if isinstance(found, list) else found
        if type(first) in OTHER_WAYS:
            other = OTHER_WAYS[type(first)]()
            setattr(node, field, [other, *found[1:]] if isinstance(found, list) else other)
            return True
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        value = node.value
        node.value = not value if isinstance(value, bool) else value + type(value)("1")
        return True
    if isinstance(node, ast.Call) and node.args:
        node.args.pop()
        return True
    if isinstance(node, ast.Call) and counting(node):
        node.keywords.remove(counting(node)[-1])
        return True
    if isinstance(node, ast.If):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return True
    return False


def names(statement):
    """Return the names that a top-level statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets += [statement.target] if isinstance(statement, ast.AnnAssign) else []
    return {
        name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
    }


def edited(path, random):
    """Return the names of a top-level statement that was edited, and the file then; or None."""
    tree = ast.parse(path.read_text())
    statement = random.choice(tree.body or [ast.Pass()])
    nodes = [*meant(statement)] if names(statement) else []
    if not nodes or not changed(random.choice(nodes)):
        return None, None
    return names(statement), ast.unparse(ast.fix_missing_locations(tree))


def parts(scripts):
    """Return the parts of all scripts' code, as a fresh process would find them."""
    spec = importlib.util.spec_from_file_location(
        "copied_provenance", scripts / "seedbed" / "provenance.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {
        path.name: module.code_parts(path, [ENGINE] if path.name == "evaluate_student.py" else [])
        for path in sorted(scripts.glob("*.py"))
    }
    return {script: parts for script, parts in found.items() if f"{script}: main" in parts}


@pytest.mark.slow
def test_the_digest_changes_with_what_is_reached_and_with_nothing_else(tmp_path):
    scripts = shutil.copytree(
        SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__")
    )
    before = parts(scripts)
    assert len(before) > 12
    random = draws()
    files = [path for path in sorted(scripts.rglob("*.py")) if "provenance" not in path.name]
    files = [path for path in files if path.name != "statements.py"]
    reaching = 0
    for _ in range(EDITS):
        own = edit = None
        while own is None:
            path = random.choice(files)
            own, edit = edited(path, random)
        content = path.read_text()
        path.write_text(edit)
        after = parts(scripts)
        path.write_text(content)
        own = {f"{path.relative_to(scripts).as_posix()}: {name}" for name in own}
        for script, found in before.items():
            reached = own & found.keys()
            differ = {name for name in found if after[script].get(name) != found[name]}
            told = f"{own} of {script}: {differ}"
            assert (after[script] != found) == bool(reached), told
            assert reached <= differ, told
            reaching += bool(reached)
    assert 0 < reaching < EDITS * len(before)
