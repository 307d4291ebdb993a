#!/usr/bin/env python3
"""Checks the structure that ARCHITECTURE.md promises. Exits 1 and lists each fault.

1. No files of a crate import each other in a circle. Lines that only declare or re-export modules
   (`mod`, `pub use`) do not count. An import leads to the file that defines the item.
2. Crates are used only where structure.toml allows it.
3. No type, function, module or file has a name that structure.toml forbids.
4. A name that structure.toml lists as unique is defined at most once in the workspace.

The check reads the code as text: it understands modules, `use` trees, paths and re-exports, but no macros and no types.
"""

import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = tomllib.loads((Path(__file__).parent / "structure.toml").read_text())
IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
ITEM = re.compile(
    rf"^[ \t]*(?:pub(?:\([^)]*\))?\s+)?(?:default\s+)?(?:const\s+(?=fn|unsafe|async))?(?:async\s+)?(?:unsafe\s+)?"
    rf"(struct|enum|union|trait|type|fn|const|static|macro_rules!)\s+(?:mut\s+)?({IDENTIFIER})",
    re.MULTILINE,
)
MODULE = re.compile(
    rf"^[ \t]*(?:#\[path\s*=\s*\"([^\"]+)\"\]\s*)?(?:pub(?:\([^)]*\))?\s+)?mod\s+({IDENTIFIER})\s*;", re.MULTILINE
)
USE = re.compile(r"^[ \t]*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", re.MULTILINE)


def without_comments_and_strings(text):
    """The code without comments and strings, with the same number of lines."""
    pattern = re.compile(
        r"//[^\n]*|/\*.*?\*/|b?r(#*)\".*?\"\1|b?\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\\n])'", re.DOTALL
    )
    return pattern.sub(lambda found: "\n" * found.group().count("\n"), text)


def use_paths(tree):
    """The full paths of a `use` tree, each with the name that it introduces."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, alias = tree.partition(" as ")
        parts = [part.strip() for part in path.split("::") if part.strip()]
        return [(parts, alias.strip() or parts[-1])]
    prefix = [part.strip() for part in tree[:brace].split("::") if part.strip()]
    depth, start, found = 0, brace + 1, []
    body = tree[brace + 1 : tree.rfind("}")] + ","
    piece = ""
    for character in body:
        if character == "," and depth == 0:
            if piece.strip():
                for parts, alias in use_paths(piece):
                    if parts == ["self"]:
                        found.append((prefix, alias if alias != "self" else prefix[-1]))
                    else:
                        found.append((prefix + parts, alias))
            piece = ""
            continue
        depth += {"{": 1, "}": -1}.get(character, 0)
        piece += character
    return found


def without_inner_test_modules(code):
    """The code without `#[cfg(test)] mod name { .. }`, whose `super` is the file itself."""
    while found := re.search(r"#\[cfg\(test\)\]\s*mod\s+\w+\s*\{", code):
        depth, end = 1, found.end()
        while depth and end < len(code):
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        code = code[: found.start()] + code[end:]
    return code


class File:
    """One source file: the module that it is, what it defines, and what it uses."""

    def __init__(self, path, module):
        self.path, self.module = path, module
        self.code = without_inner_test_modules(without_comments_and_strings(path.read_text()))
        self.items = {name for _, name in ITEM.findall(self.code)}
        self.children = {}
        self.imports, self.exports = [], []
        for is_public, tree in USE.findall(self.code):
            paths = use_paths(tree)
            (self.exports if is_public else self.imports).extend(paths)
        self.known = {alias: parts for parts, alias in self.imports + self.exports}

    def name(self):
        return str(self.path.relative_to(ROOT))


class Tree:
    """The modules below one crate root."""

    def __init__(self, root):
        self.files = {}
        self.read(root, (), root.parent)

    def read(self, path, module, folder):
        file = File(path, module)
        self.files[module] = file
        for explicit_path, child in MODULE.findall(file.code):
            candidates = (
                [path.parent / explicit_path]
                if explicit_path
                else [folder / f"{child}.rs", folder / child / "mod.rs"]
            )
            for candidate in candidates:
                if candidate.is_file():
                    file.children[child] = module + (child,)
                    self.read(candidate, module + (child,), folder / child)

    def resolve(self, file, parts, seen=frozenset()):
        """The file that defines what a path leads to, or the module that it names; None if it is foreign."""
        if (file.module, tuple(parts)) in seen or not parts:
            return None
        seen = seen | {(file.module, tuple(parts))}
        module, remaining = file.module, list(parts)
        if remaining[0] == "crate":
            module, remaining = (), remaining[1:]
        elif remaining[0] == "self":
            remaining = remaining[1:]
        elif remaining[0] == "super":
            while remaining and remaining[0] == "super":
                module, remaining = module[:-1], remaining[1:]
        elif remaining[0] not in file.children and remaining[0] not in file.items and remaining[0] not in file.known:
            return None
        while True:
            here = self.files.get(module)
            if here is None or not remaining:
                return here
            first = remaining[0]
            if first in here.children:
                module, remaining = here.children[first], remaining[1:]
            elif first in here.items:
                return here
            elif first in here.known:
                # `use serde_json::{self, ..}`: a crate, known by its own name.
                if here.known[first][0] == first:
                    return None
                return self.resolve(here, here.known[first] + remaining[1:], seen)
            else:
                for parts, alias in here.exports:
                    if alias == "*":
                        found = self.resolve(here, parts[:-1] + remaining, seen)
                        if found is not None and found is not here:
                            return found
                return here

    def imports(self, file):
        """The files whose items `file` uses, with the names of the items."""
        aliases = "|".join(re.escape(alias) for alias in {*file.known, *file.children} if alias not in "*_")
        starts = rf"(?:crate|self|super{'|' + aliases if aliases else ''})"
        code = MODULE.sub("", USE.sub("", file.code))
        inline = re.findall(rf"(?<![\w:.]){starts}(?:::{IDENTIFIER})+", code)
        paths = [parts for parts, _ in file.imports] + [path.split("::") for path in inline]
        found = defaultdict(set)
        for parts in paths:
            if parts[-1] == "*":
                parts = parts[:-1]
            other = self.resolve(file, parts)
            if other is None or other is file:
                continue
            # A path that ends at a module names no item. The paths to its items are found where they are used.
            if other.module and parts[-1] == other.module[-1] and parts[-1] not in other.items:
                continue
            found[other.module].add(parts[-1])
        return found


def circles(edges):
    """The strongly connected sets of more than one node (Tarjan)."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on_stack.add(node)
        for other in edges[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            members = []
            while True:
                member = stack.pop()
                on_stack.discard(member)
                members.append(member)
                if member == node:
                    break
            if len(members) > 1:
                found.append(sorted(members))

    for node in list(edges):
        if node not in index:
            visit(node)
    return found


def crate_roots():
    for manifest in sorted([*ROOT.glob("crates/*/Cargo.toml"), *ROOT.glob("tests/*/Cargo.toml")]):
        folder = manifest.parent
        patterns = ["src/lib.rs", "src/main.rs", "src/bin/*.rs", "tests/*.rs", "tests/*/main.rs", "benches/*.rs"]
        for pattern in patterns:
            yield from sorted(folder.glob(pattern))


def check_circles():
    for root in crate_roots():
        tree = Tree(root)
        edges = {module: tree.imports(file) for module, file in tree.files.items()}
        for members in circles(edges):
            lines = [
                f"    {tree.files[module].name()} uses {', '.join(sorted(names))} of {tree.files[other].name()}"
                for module in members
                for other, names in edges[module].items()
                if other in members
            ]
            yield "files import each other in a circle:\n" + "\n".join(lines)


def check_crates(sources):
    for rule in RULES["crates"]:
        allowed = tuple(rule["allowed_in"])
        used = re.compile(rf"(?<![\w:.])(?:{'|'.join(rule['names'])})\s*::|^\s*use\s+(?:{'|'.join(rule['names'])})\b", re.M)
        for path, code in sources:
            if path.startswith("crates/") and "/src/" in path and not path.startswith(allowed) and used.search(code):
                yield f"{path} uses {' or '.join(rule['names'])}: {rule['reason']}"
    for folder, names in RULES["dependencies"].items():
        manifest = tomllib.loads((ROOT / "crates" / folder / "Cargo.toml").read_text())
        for name in manifest["dependencies"]:
            if name.startswith("forebay-") and name.removeprefix("forebay-") not in names:
                yield f"crates/{folder}/Cargo.toml depends on {name}: ARCHITECTURE.md allows {names or 'none'}"


def check_names(sources):
    forbidden = {}
    for entry in RULES["names"]["forbidden"]:
        for word in entry["words"]:
            forbidden[word] = entry["instead"]
    exceptions = {(entry["file"], entry["name"]) for entry in RULES["names"].get("exceptions", [])}
    unique = defaultdict(list)
    for path, code in sources:
        stem = Path(path).stem
        defined = [name for kind, name in ITEM.findall(code) if kind not in ("const", "static")]
        for name in {*defined, *re.findall(rf"^\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+({IDENTIFIER})", code, re.M), stem}:
            if name.lower() in forbidden and (path, name) not in exceptions:
                yield f"{path}: `{name}`: write {forbidden[name.lower()]}"
        for name in defined:
            if name in RULES["names"]["unique"]:
                unique[name].append(path)
    for name, paths in sorted(unique.items()):
        if len(paths) > 1:
            yield f"`{name}` is defined {len(paths)} times: {', '.join(paths)}"


def main():
    paths = sorted([*ROOT.glob("crates/**/*.rs"), *ROOT.glob("tests/**/*.rs")])
    sources = [
        (str(path.relative_to(ROOT)), without_comments_and_strings(path.read_text()))
        for path in paths
        if "target" not in path.parts
    ]
    faults = [*check_circles(), *check_crates(sources), *check_names(sources)]
    for fault in faults:
        print(fault)
    print(f"{len(sources)} files read, {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
