// One point: its exemplars and drawings beside its numbers, settings, status and command.

const PAPER = { exemplar: 214, drawing: 246 };

// A canvas with the exemplar and the drawings of one class of a point, so many in a line.
async function drawingsCanvas(row, classNumber, { most = 8, line = 4, exemplar = true } = {}) {
  const found = await report.blocks.drawingsOf(row);
  if (!found) return null;
  const { kind, pixels } = found;
  const number = Math.min(classNumber, kind.names.length - 1);
  const first = kind.counts.slice(0, number).reduce((sum, count) => sum + count, 0);
  const asked = exemplar && await report.blocks.exemplarsOf(kind);
  const count = Math.min(kind.counts[number], most);
  const across = Math.min(count, count > 8 ? 10 : line);
  const lines = Math.ceil(count / across);
  const scale = Math.max(1, Math.round(64 / kind.width));
  const gap = 4;
  const [width, height] = [kind.width * scale, kind.height * scale];
  const exemplarRoom = asked ? width + 4 * gap : 0;
  const canvas = make("canvas", {
    class: "drawings", role: "img", width: exemplarRoom + across * (width + gap) - gap,
    height: lines * (height + gap) - gap,
  });
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  if (asked) {
    const top = Math.floor((canvas.height - height) / 2);
    paintImage(image, kind, asked, number, 0, Math.max(top, 0), scale, PAPER.exemplar);
  }
  for (let i = 0; i < count; i += 1) {
    const x = exemplarRoom + (i % across) * (width + gap);
    const y = Math.floor(i / across) * (height + gap);
    paintImage(image, kind, pixels, first + i, x, y, scale, PAPER.drawing);
  }
  context.putImageData(image, 0, 0);
  const name = kind.names[number];
  const of = name ? ` of class ${name}` : "";
  canvas.setAttribute("aria-label", `${asked ? "exemplar and " : ""}${count} drawings${of}`);
  return { canvas, kind, name, count, asked: Boolean(asked) };
}

const INTERVAL = (name, row) => {
  const ends = report.data.intervals[name];
  return ends && ends[0][row] !== null ? [ends[0][row], ends[1][row]] : null;
};

function numberWithInterval(name, row) {
  const value = valueOf(name, row);
  const ends = INTERVAL(name, row);
  const shown = shownValue(value, name);
  if (value === null || value === undefined) return shown;
  if (ends) return `${shown} [${shownValue(ends[0], name)}, ${shownValue(ends[1], name)}]`;
  const error = valueOf(`${name}_se`, row);
  return error === null ? shown : `${shown} ± ${shownValue(error, name)}`;
}

function settingText(row) {
  const parts = report.data.axes
    .map((axis) => [axis, valueOf(axis, row)])
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([axis, value]) => (axis === "model" ? value : `${axis} ${shownValue(value)}`));
  const model = valueOf("model", row);
  if (isReference(row)) return LANDMARKS[model] || model;
  return parts.join(", ") || model;
}

function namesOf(group, row) {
  return [...report.columns.values()]
    .filter((column) => column.group === group && !filterEmpty(column.get(row)))
    .map((column) => column.name);
}

function mainMetrics() {
  const shown = report.data.table.map((name) => columnOf(name));
  return shown.filter((column) => column && column.group === "metric"
    && !/_(se|low|high|critics)$/.test(column.name)).map((column) => column.name);
}

function listOf(pairs) {
  return make("dl", { class: "pairs" }, pairs.map(([name, text]) => {
    const column = columnOf(name);
    const about = (column && column.text) || report.data.definitions[name] || "";
    return [make("dt", { title: about || undefined }, name), make("dd", {}, text)];
  }).flat());
}

// The command that runs a point again. What is done is run into another folder of results.
function rerunCommand(row) {
  if (isReference(row)) return "";
  const sweep = valueOf("sweep", row);
  const { sweeps, commands } = report.data;
  const command = commands[Math.max(sweeps.indexOf(sweep), 0)];
  const id = valueOf("point_id", row);
  const again = valueOf("status", row) === "failed" ? "--retry-failed" : "--results results-again";
  return `${command} --where "point_id == '${id}'" ${again}`;
}

function siblings(row) {
  if (isReference(row)) return [];
  const same = ["model", ...report.data.asked].filter((name) => columnOf(name));
  const wanted = same.map((name) => columnOf(name).get(row));
  const out = [];
  for (let other = 0; other < report.count; other += 1) {
    if (same.every((name, i) => columnOf(name).get(other) === wanted[i])) out.push(other);
  }
  return out;
}

function pointView() {
  const panel = byId("point");
  let shown = 0;

  function empty() {
    replace(panel, make("h2", {}, "A point"), make("p", { class: "quiet" },
      "Point at the plane, tap it, or step through the points with the arrow keys."));
  }

  async function show(row) {
    shown += 1;
    const ticket = shown;
    const id = valueOf("point_id", row);
    const figure = make("figure", { class: "drawn", "data-point": id });
    const status = valueOf("status", row);
    const pinned = report.state.pins.includes(row);
    replace(panel,
      make("h2", { id: "point-title" }, settingText(row)),
      make("p", { class: "quiet" }, make("code", { id: "point-id" }, id), " ",
        `${valueOf("model", row)}, seed ${shownValue(valueOf("seed", row))}, `,
        make("span", { class: `status ${status}` }, status),
        valueOf("sweep", row) && report.data.sweeps.length > 1 ? `, ${valueOf("sweep", row)}` : ""),
      figure, numbersOf(row), buttonsOf(row, pinned), failureOf(row), moreOf(row));
    await showDrawings(figure, row, () => ticket === shown);
  }

  async function showDrawings(figure, row, current) {
    const drawn = await drawingsCanvas(row, report.state.classNumber);
    if (!current()) return;
    if (!drawn) {
      figure.append(make("figcaption", { class: "quiet" }, noDrawings(row)));
    } else {
      const { kind, name, count, asked } = drawn;
      const what = kind.points ? `${shownCount(kind.points, "drawing")}, points of the plane`
        : `${asked ? "exemplar, left, and " : ""}${shownCount(count, "drawing")}`;
      figure.append(drawn.canvas, make("figcaption", {}, name ? `${name}: ${what}` : what,
        kind.names.length > 1 ? classButtons(kind) : null));
    }
    figure.dataset.ready = "true";
  }

  function classButtons(kind) {
    const count = kind.names.length;
    const at = Math.min(report.state.classNumber, count - 1);
    const button = (by, sign, label) => make("button", {
      type: "button", "aria-label": label,
      click: () => change({ classNumber: (at + by + count) % count }),
    }, sign);
    const which = kind.names[at] ? "class" : "group";
    return make("span", { class: "classes" }, button(-1, "‹", `previous ${which}`),
      ` ${which} ${at + 1} of ${count} `, button(1, "›", `next ${which}`));
  }

  function buttonsOf(row, pinned) {
    const command = rerunCommand(row);
    const record = `records/${valueOf("point_id", row)}.json`;
    return make("div", { class: "buttons" },
      make("button", { type: "button", id: "pin", "aria-pressed": String(pinned),
        click: () => togglePin(row) }, pinned ? "unpin" : "pin"),
      command && make("button", { type: "button", id: "copy-command",
        click: (event) => copyText(command, event.target) }, "copy command"),
      report.data.sweeps.length === 1 && valueOf("status", row)
        ? make("a", { href: record }, "record") : null,
      command && make("code", { class: "command", id: "command" }, command));
  }

  function refresh(changed) {
    if (!["point", "pins", "class", "first"].some((name) => changed.has(name))) return;
    if (report.state.point < 0) empty();
    else show(report.state.point);
    if (changed.has("point") && report.state.point >= 0) announce(pointText(report.state.point));
  }

  return { refresh };
}

function noDrawings(row) {
  const { blocks, data } = report;
  if (valueOf("status", row) !== "done") return "No drawings: the point did not end well.";
  const sample = blocks.sample(row);
  if (sample >= 0) return "The drawings of this point could not be read: its block is missing.";
  if (data.served && !blocks.served && data.served.drawings.pointSample[row] >= 0) {
    return "The drawings of this point lie beside this file: --report --serve shows them.";
  }
  return "No drawings of this point are kept, or their file is damaged.";
}

function numbersOf(row) {
  const pairs = mainMetrics().filter((name) => !filterEmpty(valueOf(name, row)))
    .map((name) => [name, numberWithInterval(name, row)]);
  const same = siblings(row);
  const ranking = report.data.ranking;
  const values = same.map((other) => valueOf(ranking, other)).filter((value) => value !== null);
  let note = null;
  if (values.length > 1) {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const [low, high] = range(values).map((value) => shownValue(value, ranking));
    note = make("p", { class: "quiet" }, `${ranking} of all ${values.length} points of this `
      + `setting: mean ${shownValue(mean, ranking)}, from ${low} to ${high}`);
  }
  return make("div", {}, listOf(pairs), note);
}

function failureOf(row) {
  const error = valueOf("error", row);
  if (!error) return null;
  const log = valueOf("log", row);
  return make("div", { class: "failure" }, make("pre", {}, error),
    log ? make("p", {}, "log: ", make("code", {}, log)) : null);
}

function moreOf(row) {
  const shown = new Set(mainMetrics());
  const group = (title, names) => (names.length
    ? make("details", {}, make("summary", {}, `${title} (${names.length})`),
      listOf(names.map((name) => [name, shownValue(valueOf(name, row), name)])))
    : null);
  const metrics = namesOf("metric", row).filter((name) => !shown.has(name));
  return make("div", {}, group("Settings", [...namesOf("axis", row), ...namesOf("setting", row)]),
    group("Other numbers", [...metrics, ...namesOf("count", row)]),
    group("Cost", namesOf("cost", row)), group("Provenance", namesOf("provenance", row)));
}

// What a screen reader says of a point: who it is, and three numbers.
function pointText(row) {
  const numbers = mainMetrics().slice(0, 3).filter((name) => !filterEmpty(valueOf(name, row)))
    .map((name) => `${name} ${shownValue(valueOf(name, row), name)}`);
  const status = valueOf("status", row);
  const place = placeOf(row);
  const where = place >= 0 ? `${place + 1} of ${report.order.length}: ` : "";
  const end = status === "done" ? "" : `, ${status}`;
  return `${where}${settingText(row)}, ${numbers.join(", ")}${end}`;
}
