// The filter language of --where: conditions on the columns of a row. The same expressions are
// read, refused, true and false as in oneshot/sweep/filter.py; only messages may differ.

class FilterError extends Error {}

const LONGEST_FILTER = 1000;
const FILTER_KEYWORDS = new Set([
  "and", "or", "not", "in", "is", "if", "else", "for", "lambda", "None", "True", "False", "await",
  "async", "as", "assert", "break", "class", "continue", "def", "del", "elif", "except", "finally",
  "from", "global", "import", "nonlocal", "pass", "raise", "return", "try", "while", "with",
  "yield",
]);
const FILTER_NUMBER = new RegExp([
  "0[xX](?:_?[0-9a-fA-F])+", "0[oO](?:_?[0-7])+", "0[bB](?:_?[01])+",
  "(?:\\d(?:_?\\d)*)?\\.\\d(?:_?\\d)*(?:[eE][+-]?\\d(?:_?\\d)*)?",
  "\\d(?:_?\\d)*\\.?(?:[eE][+-]?\\d(?:_?\\d)*)?",
].join("|"), "y");
const FILTER_NAME = /[\p{XID_Start}_][\p{XID_Continue}]*/uy;
const FILTER_STRING = /([A-Za-z]{0,2})('''|"""|'|")/y;
const FILTER_SPACE = /(?:[ \t\f]|\\(?:\r\n|\n|\r))+/y;
const FILTER_SIGNS = /==|!=|<=|>=|<|>|\(|\)|\[|\]|,|-/y;
const FILTER_ESCAPES = {
  "\\": "\\", "'": "'", '"': '"', a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t",
  v: "\v", "\n": "",
};

function filterTokens(text) {
  const tokens = [];
  let at = 0;
  let depth = 0;
  const take = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  while (at < text.length) {
    const start = at;
    if (take(FILTER_SPACE)) continue;
    if (text[at] === "#") {
      while (at < text.length && !"\r\n".includes(text[at])) at += 1;
      continue;
    }
    if ("\r\n".includes(text[at])) {
      if (!depth) throw filterUnreadable(start);
      at += 1;
      continue;
    }
    const opened = take(FILTER_STRING);
    if (opened) {
      const value = filterString(text, at, opened[1], opened[2]);
      at = value.end;
      tokens.push({ kind: "text", value: value.text, at: start });
      continue;
    }
    const number = take(FILTER_NUMBER);
    if (number) {
      tokens.push({ kind: "number", value: filterNumber(number[0], text, at, start), at: start });
      continue;
    }
    const name = take(FILTER_NAME);
    if (name) {
      tokens.push({ kind: "name", value: name[0].normalize("NFKC"), at: start });
      continue;
    }
    const sign = take(FILTER_SIGNS);
    if (!sign) throw filterUnreadable(start);
    depth += "([".includes(sign[0]) ? 1 : ")]".includes(sign[0]) ? -1 : 0;
    tokens.push({ kind: "sign", value: sign[0], at: start });
  }
  tokens.push({ kind: "end", value: "", at: text.length });
  return tokens;
}

function filterUnreadable(at) {
  return new FilterError(`cannot read the filter at position ${at + 1}`);
}

function filterNumber(written, text, end, start) {
  const digits = written.replaceAll("_", "");
  if (/^0\d*[1-9]\d*$/.test(digits)) throw filterUnreadable(start); // 012 is no number of Python's
  const rest = text.slice(end);
  const joined = /^[\p{XID_Continue}]+/u.exec(rest);
  const operators = ["and", "or", "not", "in", "is", "if", "else", "for"];
  if (joined && !operators.includes(joined[0])) throw filterUnreadable(end);
  return Number(digits);
}

function filterString(text, from, prefix, quote) {
  const lower = prefix.toLowerCase();
  if (!["", "r", "u"].includes(lower)) {
    throw new FilterError(`only plain texts can be compared, at position ${from}`);
  }
  let at = from;
  let out = "";
  while (!text.startsWith(quote, at)) {
    const letter = text[at];
    const ended = letter === undefined || (quote.length === 1 && "\r\n".includes(letter));
    if (ended) throw filterUnreadable(from - 1);
    if (letter !== "\\") {
      out += letter === "\r" ? "\n" : letter;
      at += letter === "\r" && text[at + 1] === "\n" ? 2 : 1;
      continue;
    }
    const next = text.startsWith("\r\n", at + 1) ? "\r\n" : text[at + 1];
    if (next === undefined) throw filterUnreadable(at);
    if (lower === "r") {
      out += letter + next.replace(/\r\n?/, "\n");
      at += 1 + next.length;
      continue;
    }
    const escape = filterEscape(text, at + 1, next);
    out += escape.text;
    at = escape.end;
  }
  return { text: out, end: at + quote.length };
}

function filterEscape(text, at, next) {
  if (next === "\r\n" || next === "\r") return { text: "", end: at + next.length };
  if (next in FILTER_ESCAPES) return { text: FILTER_ESCAPES[next], end: at + 1 };
  const octal = /^[0-7]{1,3}/.exec(text.slice(at, at + 3));
  if (octal) {
    return { text: String.fromCodePoint(parseInt(octal[0], 8)), end: at + octal[0].length };
  }
  const length = { x: 2, u: 4, U: 8 }[next];
  if (length) {
    const digits = text.slice(at + 1, at + 1 + length);
    const code = parseInt(digits, 16);
    if (!/^[0-9a-fA-F]+$/.test(digits) || digits.length < length || code > 0x10ffff) {
      throw filterUnreadable(at);
    }
    return { text: String.fromCodePoint(code), end: at + 1 + length };
  }
  if (next === "N") throw new FilterError(`names of letters are not read, at position ${at}`);
  return { text: "\\" + next, end: at + next.length };
}

// A tree of {kind: name, literal, minus, list, tuple, bool, not or compare}.
function parseFilter(given) {
  const letters = [...given];
  if (letters.length > LONGEST_FILTER) {
    throw new FilterError(
      `the filter has ${letters.length} characters; at most ${LONGEST_FILTER} are read`);
  }
  const odd = letters.findIndex((letter) => letter === "\0" || /^[\ud800-\udfff]$/.test(letter));
  if (odd >= 0) throw filterUnreadable(odd);
  const text = given.trim();
  if (!text) throw new FilterError("the filter is empty");
  const tokens = filterTokens(text);
  let place = 0;
  const peek = () => tokens[place];
  const next = () => tokens[place++];
  const is = (value) => ["sign", "name"].includes(peek().kind) && peek().value === value;
  const accept = (value) => (is(value) ? next() : null);
  const expect = (value) => {
    if (!accept(value)) throw filterUnreadable(peek().at);
  };
  function either(word, part) {
    const first = part();
    if (!is(word)) return first;
    const parts = [first];
    while (accept(word)) parts.push(part());
    return { kind: "bool", op: word, parts, at: first.at };
  }
  const disjunction = () => either("or", () => either("and", negation));
  function negation() {
    const word = accept("not");
    return word ? { kind: "not", operand: negation(), at: word.at } : comparison();
  }
  function comparison() {
    const left = operand();
    const links = [];
    for (let op = operator(); op; op = operator()) links.push({ op, right: operand() });
    return links.length ? { kind: "compare", left, links, at: left.at } : left;
  }
  function operator() {
    for (const sign of ["==", "!=", "<=", ">=", "<", ">", "in"]) if (accept(sign)) return sign;
    if (is("is")) throw new FilterError("write `==` instead of `is`");
    if (!is("not")) return "";
    next();
    expect("in");
    return "not in";
  }
  function operand() {
    const minus = accept("-");
    return minus ? { kind: "minus", operand: operand(), at: minus.at } : atom();
  }
  function atom() {
    const token = next();
    if (token.kind === "number") return { kind: "literal", value: token.value, at: token.at };
    if (token.kind === "text") {
      let value = token.value;
      while (peek().kind === "text") value += next().value;
      return { kind: "literal", value, at: token.at };
    }
    if (token.kind === "sign" && "([".includes(token.value)) return group(token);
    if (token.kind !== "name") throw filterUnreadable(token.at);
    const constants = { None: null, True: true, False: false };
    if (token.value in constants) {
      return { kind: "literal", value: constants[token.value], at: token.at };
    }
    if (FILTER_KEYWORDS.has(token.value)) throw filterUnreadable(token.at);
    return { kind: "name", id: token.value, at: token.at };
  }
  function group(open) {
    const close = open.value === "(" ? ")" : "]";
    const items = [];
    let commas = 0;
    while (!is(close)) {
      items.push(disjunction());
      if (!accept(",")) break;
      commas += 1;
    }
    expect(close);
    if (open.value === "(" && items.length === 1 && !commas) return items[0];
    return { kind: open.value === "(" ? "tuple" : "list", items, at: open.at };
  }
  const tree = disjunction();
  if (peek().kind !== "end") throw filterUnreadable(peek().at);
  return tree;
}
