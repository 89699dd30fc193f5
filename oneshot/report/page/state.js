// One selection for all views, kept in the fragment of the address.

const report = {
  data: null, // of the page
  columns: new Map(),
  count: 0,
  ids: null,
  blocks: null,
  references: [],
  state: {
    point: -1, where: "", brush: null, sort: "", descending: false, colour: "", x: "", y: "",
    bars: false, pins: [], classNumber: 0,
  },
  keep: null, // rows that the filter keeps
  matching: null, // and that the brush holds
  order: null, // the matching rows, sorted
  filterProblem: "",
  views: [], // each has refresh(changed), where changed is a Set of: point, matching, order, look
};

const columnOf = (name) => report.columns.get(name);
const valueOf = (name, row) => {
  const column = columnOf(name);
  return column ? column.get(row) : null;
};
const isReference = (row) => report.data.references.includes(valueOf("model", row));
const pointNumber = (id) => {
  if (!report.numbers) {
    report.numbers = new Map();
    for (let row = 0; row < report.count; row += 1) {
      report.numbers.set(valueOf("point_id", row), row);
    }
  }
  return report.numbers.has(id) ? report.numbers.get(id) : -1;
};

// Changes the state and lets every view show it.
function change(changes) {
  const state = report.state;
  const changed = new Set();
  const differs = (...names) => names.some((name) => name in changes);
  Object.assign(state, changes);
  if (differs("where")) applyFilter();
  if (differs("where", "brush", "x", "y")) {
    applyBrush();
    changed.add("matching");
  }
  if (differs("where", "brush", "x", "y", "sort", "descending")) {
    applyOrder();
    changed.add("order");
  }
  if (differs("point")) changed.add("point");
  if (differs("pins")) changed.add("pins");
  if (differs("colour", "bars", "x", "y", "classNumber")) changed.add("look");
  if (differs("classNumber")) changed.add("class");
  for (const view of report.views) view.refresh(changed);
  writeFragment();
}

// While a brush is dragged: the plane and the count follow it, the other views when it ends.
function followBrush(brush) {
  report.state.brush = brush;
  applyBrush();
  const changed = new Set(["matching"]);
  for (const view of report.views) if (view.followsBrush) view.refresh(changed);
}

function matchingCount() {
  let count = 0;
  for (let row = 0; row < report.count; row += 1) count += report.matching[row];
  return count;
}

function applyFilter() {
  const { where } = report.state;
  report.filterProblem = "";
  if (!where.trim()) {
    report.keep = new Uint8Array(report.count).fill(1);
    return;
  }
  try {
    const sweepIsAxis = report.data.asked.includes("sweep");
    report.keep = selectRows(
      where, report.columns, report.count, report.references, sweepIsAxis);
  } catch (error) {
    report.filterProblem = error.message; // what matched before goes on matching
    report.keep = report.keep || new Uint8Array(report.count).fill(1);
  }
}

function applyBrush() {
  const { brush, x, y } = report.state;
  if (!brush) {
    report.matching = report.keep;
    return;
  }
  const across = columnOf(x).numbers();
  const up = columnOf(y).numbers();
  const [left, bottom, right, top] = brush;
  report.matching = report.keep.map((kept, row) =>
    kept && across[row] >= left && across[row] <= right && up[row] >= bottom && up[row] <= top
      ? 1 : 0);
}

function applyOrder() {
  const rows = [];
  for (let row = 0; row < report.count; row += 1) if (report.matching[row]) rows.push(row);
  const column = columnOf(report.state.sort);
  const sign = report.state.descending ? -1 : 1;
  if (column && column.isNumeric) {
    const values = column.numbers();
    // empty cells come last whatever the order
    rows.sort((a, b) => {
      const [one, other] = [values[a], values[b]];
      if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(one) - Number.isNaN(other);
      return sign * (one - other) || a - b;
    });
  } else if (column) {
    rows.sort((a, b) => {
      const [one, other] = [column.get(a), column.get(b)];
      if (filterEmpty(one) || filterEmpty(other)) return filterEmpty(one) - filterEmpty(other);
      return sign * filterCompare(one, other) || a - b;
    });
  }
  report.order = rows;
  report.places = null;
}

// The place of a point among the matching ones; -1 if it does not match.
function placeOf(row) {
  if (!report.places) report.places = new Map(report.order.map((other, place) => [other, place]));
  return report.places.has(row) ? report.places.get(row) : -1;
}

function step(by) {
  const { order } = report;
  if (!order.length) return;
  const place = placeOf(report.state.point);
  const last = order.length - 1;
  const next = place < 0 ? (by > 0 ? 0 : last) : Math.min(Math.max(place + by, 0), last);
  change({ point: order[next] });
}

function togglePin(row) {
  const { pins } = report.state;
  change({ pins: pins.includes(row) ? pins.filter((pin) => pin !== row) : [...pins, row] });
}

let fragmentTimer = 0;

// Browsers allow few changes of the address a second, and hovering makes many.
function writeFragment() {
  clearTimeout(fragmentTimer);
  fragmentTimer = setTimeout(() => {
    const fragment = fragmentOfState();
    if (fragment === location.hash.slice(1)) return;
    try {
      history.replaceState(null, "", `#${fragment}`);
    } catch {
      location.hash = fragment;
    }
  }, 150);
}

function fragmentOfState() {
  const { state } = report;
  const parts = new URLSearchParams();
  const standard = report.standard;
  if (state.point >= 0) parts.set("point", valueOf("point_id", state.point));
  if (state.where.trim()) parts.set("where", state.where);
  if (state.brush) parts.set("brush", state.brush.map((end) => Number(end.toPrecision(6))).join());
  for (const name of ["sort", "colour", "x", "y"]) {
    if (state[name] !== standard[name]) parts.set(name, state[name]);
  }
  for (const name of ["descending", "bars"]) if (state[name]) parts.set(name, "1");
  if (state.classNumber) parts.set("class", state.classNumber);
  const pins = state.pins.map((row) => valueOf("point_id", row));
  if (pins.length) parts.set("pins", pins.join());
  return parts.toString();
}

// What a fragment says; what it says of points and columns that are not here is passed over.
function stateOfFragment(fragment) {
  const parts = new URLSearchParams(fragment);
  const numbers = (parts.get("brush") || "").split(",").map(Number);
  const column = (name) => {
    const given = parts.get(name);
    return given && columnOf(given) ? given : report.standard[name];
  };
  const pins = (parts.get("pins") || "").split(",").map(pointNumber);
  return {
    where: parts.get("where") || "",
    brush: numbers.length === 4 && numbers.every(Number.isFinite) ? numbers : null,
    sort: column("sort"),
    colour: column("colour"),
    x: column("x"),
    y: column("y"),
    descending: parts.get("descending") === "1",
    bars: parts.get("bars") === "1",
    classNumber: Math.max(0, Math.trunc(Number(parts.get("class")) || 0)),
    pins: [...new Set(pins.filter((row) => row >= 0))],
    point: parts.has("point") ? pointNumber(parts.get("point")) : -1,
  };
}
