// From the tree of a filter to a test of rows: see filter.js.

function filterRefused(node, hint) {
  const what = hint || "only columns, literals, comparisons, in, and, or, not";
  return new FilterError(`cannot use what is at position ${node.at + 1} of the filter: ${what}`);
}

function filterLiteral(node) {
  if (node.kind === "literal") return node.value;
  if (node.kind === "minus" && node.operand.kind === "literal") {
    if (typeof node.operand.value === "number") return -node.operand.value;
  }
  throw filterRefused(node, "");
}

const filterEmpty = (value) => value === null || value === undefined || Number.isNaN(value);
const filterShown = (value) => (typeof value === "string" ? `'${value}'` : String(value));

function filterKinds(a, b) {
  if ((typeof a === "string") !== (typeof b === "string")) {
    throw new FilterError(
      `compares a text with a number: ${filterShown(a)} and ${filterShown(b)}`);
  }
  if (typeof a === "object" || typeof b === "object") {
    throw new FilterError("times can only be compared with None");
  }
}

// As Python does: by code points, not by the halves of UTF-16.
function filterCompare(a, b) {
  if (typeof a !== "string") return Number(a) - Number(b);
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
    const difference = left[i].codePointAt(0) - right[i].codePointAt(0);
    if (difference) return difference;
  }
  return left.length - right.length;
}

const filterSame = (a, b) => (typeof a === "string" ? a === b : Number(a) === Number(b));
const FILTER_ORDERS = {
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

function filterValue(node, columns) {
  if (node.kind === "name") {
    const column = columns.get(node.id);
    return column ? (row) => column.get(row) : null;
  }
  const literal = filterLiteral(node);
  return () => literal;
}

function filterLink(left, op, right, columns) {
  const value = filterValue(left, columns);
  if (op === "in" || op === "not in") {
    if (!["list", "tuple"].includes(right.kind)) {
      throw filterRefused(right, "`in` needs a list, as in `beta in [1, 2]`");
    }
    const items = right.items.map(filterLiteral);
    return (row) => filterAmong(value(row), items, op === "in");
  }
  const other = filterValue(right, columns);
  if (FILTER_ORDERS[op]) {
    return (row) => {
      const a = value(row);
      const b = other(row);
      if (filterEmpty(a) || filterEmpty(b)) return false;
      filterKinds(a, b);
      return FILTER_ORDERS[op](filterCompare(a, b));
    };
  }
  const asksEmpty = [left, right].some((side) => side.kind === "literal" && side.value === null);
  return (row) => {
    const a = value(row);
    const b = other(row);
    if (asksEmpty) return (filterEmpty(a) && filterEmpty(b)) === (op === "==");
    if (filterEmpty(a) || filterEmpty(b)) return false;
    filterKinds(a, b);
    return filterSame(a, b) === (op === "==");
  };
}

function filterAmong(value, items, wanted) {
  if (filterEmpty(value)) return wanted && items.some(filterEmpty);
  for (const item of items) if (item !== null) filterKinds(value, item);
  return items.some((item) => item !== null && filterSame(value, item)) === wanted;
}

function filterCondition(node, columns) {
  if (node.kind === "bool") {
    const parts = node.parts.map((part) => filterCondition(part, columns));
    return node.op === "or"
      ? (row) => parts.some((part) => part(row))
      : (row) => parts.every((part) => part(row));
  }
  if (node.kind === "not") {
    const inner = filterCondition(node.operand, columns);
    return (row) => !inner(row);
  }
  if (node.kind === "compare") {
    let left = node.left;
    const links = node.links.map(({ op, right }) => {
      const link = filterLink(left, op, right, columns);
      left = right;
      return link;
    });
    return (row) => links.every((link) => link(row));
  }
  if (node.kind === "name" || (node.kind === "literal" && typeof node.value === "boolean")) {
    const value = filterValue(node, columns);
    return (row) => filterTruth(value(row));
  }
  throw filterRefused(node, node.kind === "literal" ? "compare it with something" : "");
}

function filterTruth(value) {
  if (filterEmpty(value)) return false;
  if (typeof value !== "boolean") {
    throw new FilterError(`${filterShown(value)} is not true or false; compare it with something`);
  }
  return value;
}

function* filterNodes(node) {
  yield node;
  const inner = [
    ...(node.parts || []), ...(node.items || []), node.operand, node.left,
    ...(node.links || []).map((link) => link.right),
  ];
  for (const part of inner) if (part) yield* filterNodes(part);
}

function filterNames(tree) {
  return [...filterNodes(tree)].filter((node) => node.kind === "name");
}

// Every part on absent columns is replaced by the truth that helps the row.
function filterGranting(node, absent, wanted) {
  if (node.kind === "bool") {
    return { ...node, parts: node.parts.map((part) => filterGranting(part, absent, wanted)) };
  }
  if (node.kind === "not") {
    return { ...node, operand: filterGranting(node.operand, absent, !wanted) };
  }
  const parts = [...filterNodes(node)];
  const named = parts.some((part) => part.kind === "name" && absent.has(part.id));
  const asksEmpty = parts.some((part) => part.kind === "literal" && part.value === null);
  return named && !asksEmpty ? { kind: "literal", value: wanted, at: node.at } : node;
}

// columns: a Map from name to {get(row)}; returns a function from a row to true or false.
function compileFilter(text, columns, absent = new Set()) {
  const tree = parseFilter(text);
  for (const node of filterNames(tree)) {
    if (columns.has(node.id)) continue;
    const near = [...columns.keys()].filter((name) => nearNames(name, node.id)).slice(0, 3);
    const hint = near.length ? `Did you mean ${near.join(" or ")}?` : "A text needs quotes.";
    throw new FilterError(
      `there is no column '${node.id}' (position ${node.at + 1} of the filter). ${hint}`);
  }
  filterCondition(tree, columns); // refuses what is refused before anything is granted
  return filterCondition(filterGranting(tree, absent, true), columns);
}

// Whether two names differ by few letters.
function nearNames(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i += 1) {
    const above = row;
    row = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const cost = one[i - 1] === other[j - 1] ? 0 : 1;
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
    }
  }
  return row[other.length] <= Math.max(1, Math.floor(other.length / 3));
}

// The rows that `analyze.py --where` keeps: those that fulfil a filter, and references that it
// does not refuse by something that they have.
function selectRows(text, columns, count, references, sweepIsAxis) {
  const test = compileFilter(text, columns);
  const keep = new Uint8Array(count);
  let any = 0;
  for (let row = 0; row < count; row += 1) {
    keep[row] = test(row) ? 1 : 0;
    any |= keep[row];
  }
  if (!any) return keep;
  const named = new Set(filterNames(parseFilter(text)).map((node) => node.id));
  const shared = ["seed", ...(sweepIsAxis ? ["sweep"] : [])].filter((name) => named.has(name));
  for (const row of references) {
    const lacking = [...named].filter(
      (name) => !columns.get(name).schema && filterEmpty(columns.get(name).get(row)));
    if (compileFilter(text, columns, new Set([...shared, ...lacking]))(row)) keep[row] = 1;
  }
  return keep;
}
