"""Every regular expression of the package, and the texts that each of them would be slowest on, derived from itself.

A repetition is slow where what it took can be given back: so each is fed many of what it repeats, behind what leads to
it (or nothing: a search begins everywhere), before something that makes the match fail.
"""

import ast
import importlib
import re
from collections import defaultdict
from re import _constants as code
from re import _parser
from time import thread_time

SAMPLES = " a1A/.-_\"'\\%:;,=[{(<#@\t\n\x01\xe9*+"
ANY = SAMPLES[1:] + " " + "".join(map(chr, range(256)))
AFTER = ("", "\x01", "\n", "a", "<", " ")
FUNCTIONS = ("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")
SIZES = (12, 20, 32, 256, 1024, 4096, 16384)
# Not written here: JSON Schemas that this package holds.
AUTHORS = {("conventions", "schema.get('pattern', '')")}
REPEATS = (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT)


def collected(package):
    """Yield name, expression and functions it is used by, of each call of `re` in the modules of a package's folder."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    used = defaultdict(set)
    for name, function in re.findall(rf"\b(\w+)\.({'|'.join(FUNCTIONS)})\b", "\n".join(texts.values())):
        used[name].add(function)
    for path, text in texts.items():
        tree = ast.parse(text)
        names = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                value = node.value
                function = value.attr if isinstance(value, ast.Attribute) else None
                names[value.value if function else value] = (node.targets[0].id, function)
        calls = [node for node in ast.walk(tree) if is_expression(node)]
        if not calls:
            continue
        module = importlib.import_module(".".join((package.name, *path.relative_to(package).with_suffix("").parts)))
        for node in calls:
            name, function = names.get(node, (None, None))
            if (path.stem, ast.unparse(node.args[0])) in AUTHORS:
                continue
            words = [ast.unparse(each) for each in (*node.args, *(keyword.value for keyword in node.keywords))]
            flags = [word for word in words if re.fullmatch(r"re\.[A-Z]+( \| re\.[A-Z]+)*", word)]
            pattern = eval(ast.unparse(node.args[0]), {}, Names(vars(module)))
            expression = re.compile(pattern, eval(flags[0]) if flags else 0)
            functions = {node.func.attr} - {"compile"} or {function} - {None} or used[name] or {"search"}
            yield f"{module.__name__}:{name or ast.unparse(node.args[0])}", expression, sorted(functions)


class Names(dict):
    """What a module knows; a local variable is `x`."""

    def __missing__(self, name):
        return "x"


def is_expression(node):
    """Whether it is a call of a function of `re` that compiles."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "re"
        and node.func.attr in ("compile", *FUNCTIONS)
    )


def slow(expression, functions):
    """Return the first of its worst shapes that takes more than linear time: function, shape, size, seconds."""
    for before, units in repeated(_parser.parse(expression.pattern, expression.flags & ~re.UNICODE)):
        for function in functions:
            for shape in ((first, unit, after) for first in {before, ""} for unit in units for after in AFTER):
                if found := grows(run(expression, function), shape, isinstance(expression.pattern, bytes)):
                    return function, shape, *found
    return None


def run(expression, function):
    """Return the function as one of a text alone."""
    call = getattr(expression, function)
    if function in ("sub", "subn"):
        return lambda text: call(text[:0], text)
    return (lambda text: list(call(text))) if function == "finditer" else call


def grows(call, shape, octets):
    """Return size and seconds where four times the text takes more than eight times as long."""
    before, unit, after = shape
    last = None
    for size in SIZES:
        text = before + unit * (size // len(unit)) + after
        given = text.encode("latin-1", "replace") if octets else text
        taken = seconds(call, given)
        if last is not None and taken > max(8 * last, 0.002 if size <= 4096 else 0.004):
            again = min(seconds(call, given) for _ in range(3))  # a pause of the machine is no growth
            if again > max(8 * last, 0.002):
                return size, again
        last = taken
    return None


def seconds(call, text):
    begun = thread_time()
    call(text)
    return thread_time() - begun


def repeated(items, before=""):
    """Yield for each repetition without a small bound what leads to it, and what it repeats."""
    for op, value in items:
        if op in REPEATS:
            low, high, body = value
            if high > 16:
                yield before, {unit for unit in (example(body), *alternatives(body)) if unit}
            yield from repeated(body, before)
            before += example(body) * low
            continue
        if op is code.BRANCH:
            for each in value[1]:
                yield from repeated(each, before)
        elif op in (code.ASSERT, code.ASSERT_NOT):
            yield from repeated(value[1], before)
        elif op is code.SUBPATTERN:
            yield from repeated(value[3], before)
        elif op is code.ATOMIC_GROUP:
            yield from repeated(value, before)
        before += example([(op, value)])


def example(items):
    """Return a short text that matches."""
    text = ""
    for op, value in items:
        if op is code.LITERAL:
            text += chr(value)
        elif op in (code.IN, code.ANY, code.NOT_LITERAL):
            text += next((char for char in ANY if fits(op, value, char)), "")
        elif op in REPEATS:
            text += example(value[2]) * value[0]
        elif op is code.SUBPATTERN:
            text += example(value[3])
        elif op is code.ATOMIC_GROUP:
            text += example(value)
        elif op is code.BRANCH:
            text += example(value[1][0])
    return text


def alternatives(body):
    """Yield more of what a repetition of one class, or of a choice, repeats."""
    op, value = body[0]
    if len(body) == 1 and op in (code.IN, code.ANY, code.NOT_LITERAL):
        yield from (char for char in SAMPLES if fits(op, value, char))
    elif len(body) == 1 and op is code.SUBPATTERN:
        for inner, choice in value[3]:
            if inner is code.BRANCH:
                yield from map(example, choice[1])


def fits(op, value, char):
    """Whether a class takes a character."""
    if op is code.ANY:
        return char != "\n"
    if op is code.NOT_LITERAL:
        return ord(char) != value
    found = False
    for kind, what in value:
        if kind is code.LITERAL:
            found |= ord(char) == what
        elif kind is code.RANGE:
            found |= what[0] <= ord(char) <= what[1]
        elif kind is code.CATEGORY:
            word = str(what)
            kinds = {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}
            found |= next(like for name, like in kinds.items() if name in word) != ("NOT" in word)
    return found != ((code.NEGATE, None) in value)
