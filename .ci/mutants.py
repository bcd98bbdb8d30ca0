"""Finds mutants of Rust functions: each is the source of one function with a single change.

Works on tokens, of source that rustfmt has formatted: a binary operator has spaces on both sides. A mutant that does not
compile does not count; the caller tests for that.
"""
import re
from collections import namedtuple

# `label` describes the change without quoting the source; `start` and `end` are its position in the source of the file.
Mutant = namedtuple("Mutant", "label start end text")
# `open` and `close` are the braces of the body, as indexes of tokens.
Function = namedtuple("Function", "open close is_const")
Token = namedtuple("Token", "kind text start end")

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<string>b?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*"|b?'(?:\\(?:u\{\w+\}|x\w\w|.)|[^'\\])')
    |(?P<lifetime>'\w+)
    |(?P<number>\d[\d_]*(?:x[\da-fA-F_]+|o[0-7_]+|b[01_]+)?(?:[ui](?:8|16|32|64|128|size))?)
    |(?P<word>(?:r\#)?[^\W\d]\w*)
    |(?P<operator><<=?|>>=|\.\.=|\.\.\.|->|=>|==|!=|<=|>=|&&|\|\||\+=|-=|\*=|/=|%=|\^=|&=|\|=|::|\.\.|.)""",
    re.VERBOSE | re.DOTALL,
)
CLOSING = {"(": ")", "[": "]", "{": "}"}

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "+=": "-=", "-=": "+=", "|=": "&="}
NAMES = {"true": "false", "false": "true"}
METHODS = {"min": "max", "max": "min", "first": "last", "last": "first", "front": "back", "back": "front"}
METHODS |= {"is_some": "is_none", "is_none": "is_some", "is_ok": "is_err", "is_err": "is_ok"}
# Methods without which a chain of calls has the same type, or one that is used in the same way.
ADAPTERS = {"filter", "or_else", "skip", "take", "take_while", "take_if", "saturating_add"}
# Macros that only check or format text, whose arguments are not changed.
MACRO = re.compile(r"(debug_)?assert(_eq|_ne)?|format|println|unreachable|write|matches_text")
# Statements that start with these are not removed.
KEPT = {"let", "return", "use", "const", "static", "fn", "struct", "enum", "impl", "type", "break", "continue", "loop"}

# The next weaker orderings, by the kind of operation.
LOADS, STORES = {"load"}, {"store"}
WEAKER = {"AcqRel": ["Acquire", "Release"], "Acquire": ["Relaxed"], "Release": ["Relaxed"]}


class Source:
    """A file of Rust, its tokens, and the functions in it."""

    def __init__(self, text):
        self.text = text
        self.tokens = [
            Token(match.lastgroup if match.lastgroup != "hashes" else "string", match[0], match.start(), match.end())
            for match in TOKEN.finditer(text)
            if match["skip"] is None
        ]
        self.pair = self._pairs()
        self.functions = {}
        self._find_functions(0, len(self.tokens), "")

    def _pairs(self):
        pair, open_ones = {}, []
        for i, token in enumerate(self.tokens):
            if token.kind != "operator":
                continue
            if token.text in CLOSING:
                open_ones.append(i)
            elif token.text in CLOSING.values():
                first = open_ones.pop()
                assert CLOSING[self.tokens[first].text] == token.text, f"unbalanced at byte {token.start}"
                pair[first], pair[i] = i, first
        assert not open_ones, "unbalanced"
        return pair

    def is_at(self, i, *texts):
        """Returns whether the token at `i` is one of these, outside a string."""
        return 0 <= i < len(self.tokens) and self.tokens[i].kind != "string" and self.tokens[i].text in texts

    def find(self, i, end, *texts):
        """Returns the index of the next of these tokens outside brackets, or `end`."""
        while i < end and not self.is_at(i, *texts):
            i = self.pair[i] + 1 if self.is_at(i, *CLOSING) else i + 1
        return min(i, end)

    def _find_functions(self, i, end, prefix):
        while i < end:
            if self.is_at(i, "impl", "mod", "trait"):
                body = self.find(i, end, "{", ";")
                if self.is_at(body, "{"):
                    name = self._type(i + 1, body) if self.is_at(i, "impl") else self.tokens[i + 1].text
                    self._find_functions(body + 1, self.pair[body], f"{prefix}{name}::")
                    body = self.pair[body]
                i = body + 1
            elif self.is_at(i, "fn") and self.tokens[i + 1].kind == "word":
                body = self.find(i, end, "{", ";")
                if self.is_at(body, "{"):
                    function = Function(body, self.pair[body], self.is_at(i - 1, "const"))
                    self.functions.setdefault(prefix + self.tokens[i + 1].text, []).append(function)
                    body = self.pair[body]
                i = body + 1
            else:
                i = self.pair[i] + 1 if self.is_at(i, "{") else i + 1

    def _type(self, i, end):
        """Returns the name of the type of an `impl`, without its parameters."""
        depth, name = 0, ""
        for token in self.tokens[i:end]:
            depth += {"<": 1, ">": -1}.get(token.text, 0)
            if depth == 0 and token.text == "where":
                break
            if depth == 0 and token.kind == "word":
                name = token.text
        return name

    def body(self, function):
        return self.tokens[function.open].start, self.tokens[function.close].end

    def line(self, at):
        return self.text.count("\n", 0, at) + 1

    def between(self, first, behind):
        """Returns the source of these tokens."""
        return self.text[self.tokens[first].start : self.tokens[behind - 1].end]

    def is_spaced(self, i):
        token = self.tokens[i]
        return self.text[token.start - 1].isspace() and self.text[token.end].isspace()

    def logic(self, function):
        """Yields mutants that resemble mistakes in the logic of a function."""
        i = function.open + 1
        while i < function.close:
            token = self.tokens[i]
            if token.kind == "word" and MACRO.fullmatch(token.text) and self.is_at(i + 1, "!"):
                i = self.pair[i + 2] + 1
                continue
            if token.kind == "operator":
                yield from self._operator(i)
            elif token.kind == "number":
                yield from self._number(i)
            elif token.kind == "word":
                yield from self._word(i)
            if self.is_at(i, "("):
                yield from self._tuple(i)
            if self.is_at(i, "{"):
                yield from self._fields(i)
            i += 1
        for first, behind in self.statements(function):
            if self._may_be_left_out(first):
                yield self._change(first, behind, "", f"without `{self._name(first, behind)}`")

    def orderings(self, function):
        """Yields each memory ordering, weakened."""
        for i in range(function.open + 1, function.close):
            token = self.tokens[i]
            weaker = WEAKER.get(token.text, [])
            if token.text == "SeqCst":
                method = self._method_around(i)
                weaker = ["Acquire" if method in LOADS else "Release" if method in STORES else "AcqRel"]
            for text in weaker:
                label = f"`{self._method_around(i)}`: {token.text} becomes {text}"
                yield self._change(i, i + 1, f"std::sync::atomic::Ordering::{text}", label)

    def order(self, function):
        """Yields each statement of a block moved after the next one, or the next two."""
        all_statements = self.statements(function)
        for at, (first, middle) in enumerate(all_statements):
            last = middle
            for second, behind in all_statements[at + 1 : at + 3]:
                if second != last or self.is_at(first, "return"):
                    break
                text = f"{self.between(middle, behind)}\n{self.between(first, middle)}"
                label = f"`{self._name(first, middle)}` behind `{self._name(second, behind)}`"
                yield self._change(first, behind, text, label)
                last = behind

    def _method_around(self, i):
        """Returns the name of the method that a token is an argument of."""
        while not self.is_at(i, "("):
            i = self.pair[i] - 1 if self.is_at(i, ")", "]", "}") else i - 1
        return self.tokens[i - 1].text

    def statements(self, function):
        """Returns the ranges of the statements that end with a semicolon, and of the blocks used as statements."""
        found = []
        blocks = [function.open] + [i for i in range(function.open + 1, function.close) if self.is_at(i, "{")]
        for block in blocks:
            first = block + 1
            while first < self.pair[block]:
                end = self.find(first, self.pair[block], ";", "=>")
                if self.is_at(end, "=>"):
                    break
                # A statement may be a block, which has no semicolon after it.
                at = first
                while self.is_at(at, "if", "while", "for", "match", "loop", "{"):
                    at = self.pair[self.find(at, end, "{")] + 1
                    if self.is_at(at, "else"):
                        at += 1
                    elif not self.is_at(at, ".", "?", ";"):
                        found.append((first, at))
                        first = at
                    else:
                        break
                if self.is_at(end, ";"):
                    found.append((first, end + 1))
                first = end + 1
        return found

    def _may_be_left_out(self, first):
        token = self.tokens[first]
        is_macro = MACRO.fullmatch(token.text) and self.is_at(first + 1, "!")
        starts = token.kind == "word" or token.text in ("*", "(")
        is_block = self.is_at(first, "if", "while", "for", "match", "{", "_")
        return starts and not is_macro and not is_block and token.text not in KEPT

    def _name(self, first, behind):
        """Returns the beginning of a statement, up to its arguments or the assigned value."""
        if self.is_at(first, "let"):
            end = self.find(first, behind, "=", ":")
        else:
            end = self.find(first + 1, behind, "=", "+=", "-=", "|=", "(", "{", ";")
        return " ".join(self.between(first, max(end, first + 1)).split())

    def _change(self, first, behind, text, label):
        return Mutant(label, self.tokens[first].start, self.tokens[behind - 1].end, text)

    def _replace(self, i, text):
        return self._change(i, i + 1, text, f"`{self.tokens[i].text}` becomes `{text}`")

    def _operator(self, i):
        text = self.tokens[i].text
        before = self.tokens[i - 1]
        is_binary = before.kind in ("word", "number", "string") or before.text in (")", "]", "}", "?")
        if text in COMPARISONS and self.is_spaced(i):
            yield self._replace(i, COMPARISONS[text])
        elif text in ARITHMETIC and self.is_spaced(i) and is_binary:
            yield self._replace(i, ARITHMETIC[text])
        elif text in ("&&", "||") and self.is_spaced(i) and is_binary and not self._has_let(i):
            yield self._replace(i, {"&&": "||", "||": "&&"}[text])
        elif text == "|" and self.is_spaced(i) and is_binary:
            end = self.find(i + 1, len(self.tokens), "|", ",", ")", "]", "}", "=>", "=", "if", ";", "{")
            yield self._change(i, end, "", "without an alternative")
        elif text == "!" and not (before.kind == "word" and before.end == self.tokens[i].start):
            yield self._change(i, i + 1, "", "without `!`")

    def _has_let(self, i):
        """Returns whether the condition that contains an operator binds a variable."""
        first = i
        while not self.is_at(first - 1, "{", "(", "[", ";", ",", "=>", "=", "if", "while", "return"):
            first = self.pair[first - 1] if self.is_at(first - 1, ")", "]", "}") else first - 1
        end = self.find(first, len(self.tokens), "{", ";", ")", ",", "=>")
        if self.is_at(first - 1, "="):
            # The operator may follow a `let` in the same condition.
            while not self.is_at(first, "let", "{", "}", ";"):
                first -= 1
            return self.is_at(first, "let") and self.is_at(first - 1, "if", "while", "&&")
        return any(self.is_at(at, "let") for at in range(first, end))

    def _number(self, i):
        token = self.tokens[i]
        beside = {self.tokens[i - 1].text, self.tokens[i + 1].text}
        if re.fullmatch(r"\d+", token.text) and (beside & {"+", "-", "*", "/", "+=", "-=", "<<"} or self.is_at(i - 2, "unwrap_or")):
            yield self._replace(i, str(int(token.text) - 1) if int(token.text) > 0 else "1")

    def _word(self, i):
        text = self.tokens[i].text
        is_method = self.is_at(i - 1, ".") and self.is_at(i + 1, "(")
        if text in NAMES and not self.is_at(i + 1, "=>", "if"):
            yield self._replace(i, NAMES[text])
        elif text in METHODS and is_method:
            yield self._replace(i, METHODS[text])
        elif text in ADAPTERS and is_method and self.pair[i + 1] > i + 2:
            yield self._change(i - 1, self.pair[i + 1] + 1, "", f"without `{text}`")
        elif text == "Reverse" and self.is_at(i + 1, "("):
            yield self._change(i, self.pair[i + 1] + 1, self.between(i + 2, self.pair[i + 1]), "without `Reverse`")
        elif text == "Some" and self.is_at(i + 1, "(") and not self.is_at(i - 1, "let"):
            if not self.is_at(self.pair[i + 1] + 1, "=>", "=", "|", "if"):
                yield self._change(i, self.pair[i + 1] + 1, "None", "`Some(..)` becomes `None`")
        elif re.fullmatch(r"i\d+", text) and self.is_at(i - 1, "as"):
            yield self._replace(i, text.replace("i", "u"))
        elif text in ("if", "while"):
            yield from self._condition(i)
        elif text == "match":
            block = self.find(i + 1, len(self.tokens), "{")
            if self.is_at(block + 1, *NAMES):
                yield self._change(i + 1, block, f"!({self.between(i + 1, block)})", "a condition of `match` is negated")

    def _condition(self, i):
        end = self.find(i + 1, len(self.tokens), "{", "=>")
        kind = "guard" if self.is_at(end, "=>") else self.tokens[i].text
        if self.is_at(i + 1, "let") or self._has_let(i + 1):
            yield Mutant(f"a condition of `{kind}` is false", self.tokens[i].end, self.tokens[i].end, " false &&")
            return
        yield self._change(i + 1, end, "false", f"a condition of `{kind}` is false")
        if kind == "guard":
            yield self._change(i + 1, end, "true", f"a condition of `{kind}` is true")

    def _parts(self, i):
        """Returns the ranges of the parts between brackets that commas separate."""
        parts, first = [], i + 1
        while first < self.pair[i]:
            end = self.find(first, self.pair[i], ",")
            parts.append((first, end))
            first = end + 1
        return parts

    def _tuple(self, i):
        before = self.tokens[i - 1]
        if before.kind == "word" and before.text not in ("return", "in", "if") or before.text in (")", "]", ">", "!"):
            return
        parts = self._parts(i)
        if len(parts) < 3:
            return
        for left, right in zip(parts, parts[1:]):
            one, other = self.between(*left), self.between(*right)
            if one != other:
                yield self._change(left[0], right[1], f"{other}, {one}", "two neighbours of a tuple are swapped")

    def _fields(self, i):
        """Yields mutants of a struct expression in which a field is taken from the base struct, as the others are."""
        parts = self._parts(i)
        if len(parts) < 2 or not self.is_at(parts[-1][0], "..") or parts[-1][1] == parts[-1][0] + 1:
            return
        for first, behind in parts[:-1]:
            yield self._change(first, behind + 1, "", f"without the field `{self.tokens[first].text}`")


def mutants(source, function, kinds):
    """Returns the mutants of a function, without duplicates."""
    found = {}
    for kind in kinds:
        for mutant in getattr(source, kind)(function):
            start, end = source.body(function)
            text = source.text[start : mutant.start] + mutant.text + source.text[mutant.end : end]
            found.setdefault("".join(text.split()), mutant)
    return list(found.values())


# A made-up file, and the mutants expected in its functions.
EXAMPLE = """
impl<'a> fmt::Display for Queue<'a, 2> {
    fn next(&mut self, n: u64) -> Option<u64> {
        // Not this: a < b.
        debug_assert!(n < 7, "n < {n}");
        if n <= self.end && !self.is_over {
            self.len += 1;
            return Some(self.items.iter().map(|&(_, x): &(u8, u64)| x).min()?);
        }
        if let Some(item) = self.first
            && item == '{' as u64
        {
            log("a < b");
        }
        match self.ends() {
            true => None,
            false if n > 3 => self.made.filter(|m| *m | 1 == n),
            false => Queue { end: n, ..self.other }.end,
        }
    }
}
fn stop(flag: &AtomicBool) {
    flag.store(true, SeqCst);
    let (a, b) = one(flag.swap(false, AcqRel));
    two(a, b);
}
"""
EXPECTED = {
    ("Queue::next", "logic"): [
        "`&&` becomes `||`", "`+=` becomes `-=`", "`1` becomes `0`", "`<=` becomes `<`", "`==` becomes `!=`", "`==` becomes `!=`",
        "`>` becomes `>=`", "`Some(..)` becomes `None`", "`min` becomes `max`", "a condition of `guard` is false",
        "a condition of `guard` is true", "a condition of `if` is false", "a condition of `if` is false",
        "a condition of `match` is negated", "without `!`", "without `filter`", "without `log`", "without `self.len`",
        "without an alternative", "without the field `end`",
    ],
    ("stop", "orderings"): ["`store`: SeqCst becomes Release", "`swap`: AcqRel becomes Acquire", "`swap`: AcqRel becomes Release"],
    ("stop", "order"): ["`flag.store` behind `let (a, b)`", "`flag.store` behind `two`", "`let (a, b)` behind `two`"],
}


def check():
    """Tests the search for mutants on the example. Returns a description of the error, or nothing."""
    source = Source(EXAMPLE)
    for (name, kind), expected in EXPECTED.items():
        found = sorted(mutant.label for mutant in mutants(source, source.functions[name][0], [kind]))
        if found != expected:
            return f"of {name} it finds {found} and not {expected}"
    return None
