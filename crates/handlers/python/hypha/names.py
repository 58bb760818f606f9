"""Names that a start-up file uses and nothing gives it, such as those of a forgotten import: found before a caller finds them."""

import builtins
import dis
import types


def missing(module):
    """`(line, name)` of every first use, in the order of the file; the module is loaded."""
    try:
        with open(module.__file__, encoding="utf-8") as file:
            code = compile(file.read(), module.__file__, "exec")
    except (OSError, ValueError, SyntaxError, AttributeError):
        return []
    codes = list(within(code))
    #: Functions may make names of the module's when they run.
    made = {step.argval for one in codes for step in dis.get_instructions(one) if step.opname == "STORE_GLOBAL"}
    known, found = made | set(vars(module)) | set(vars(builtins)), {}
    for one in codes:
        line = one.co_firstlineno
        for step in dis.get_instructions(one):
            line = line_of(step) or line
            if step.opname == "LOAD_GLOBAL" and step.argval not in known:
                found.setdefault(step.argval, line)
                found[step.argval] = min(found[step.argval], line)
    return sorted((line, name) for name, line in found.items())


def line_of(step):
    """Python 3.13 says in `starts_line` whether one begins, and the line elsewhere."""
    number = getattr(step, "line_number", None)
    return number if number is not None else step.starts_line if not isinstance(step.starts_line, bool) else None


def within(code):
    yield code
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from within(one)
