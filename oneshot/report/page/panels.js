// Pins, several points side by side; and sliders along the axes that show how drawings change.

const STRIP = 10; // values of an axis whose drawings are shown

function pinsView() {
  const section = byId("pins");

  async function card(row, number) {
    const drawn = await drawingsCanvas(row, report.state.classNumber);
    return make("article", { class: "card", "data-point": valueOf("point_id", row) },
      make("h3", {}, make("button", { type: "button", class: "plain",
        click: () => change({ point: row }) }, `${number + 1}. ${settingText(row)}`)),
      make("p", { class: "quiet" }, `${valueOf("point_id", row)}, seed ${valueOf("seed", row)}`),
      drawn ? drawn.canvas : make("p", { class: "quiet" }, noDrawings(row)),
      listOf(mainMetrics().slice(0, 5).filter((name) => !filterEmpty(valueOf(name, row)))
        .map((name) => [name, numberWithInterval(name, row)])),
      make("button", { type: "button", click: () => togglePin(row),
        "aria-label": `unpin ${valueOf("point_id", row)}` }, "unpin"));
  }

  let ticket = 0;
  async function refresh(changed) {
    if (!["pins", "class", "first"].some((name) => changed.has(name))) return;
    const { pins } = report.state;
    ticket += 1;
    const mine = ticket;
    const cards = await Promise.all(pins.map(card));
    if (mine !== ticket) return;
    byId("pins-section").hidden = !pins.length;
    replace(section, cards);
    section.dataset.ready = String(pins.length);
  }

  return { refresh };
}

function slidersView() {
  const axes = report.data.axes.filter((axis) => columnOf(axis)
    && !["model", "sweep"].includes(axis) && valuesOf(axis).length > 1);
  const panel = byId("sliders");
  byId("sliders-section").hidden = !axes.length;
  if (!axes.length) return { refresh() {} };
  const inputs = new Map();
  let moved = axes[0];
  let held = {};
  let ticket = 0;

  function valuesOf(axis) {
    return columnOf(axis).different();
  }

  for (const axis of axes) {
    const values = valuesOf(axis);
    const output = make("output", { for: `slider-${axis}` });
    const input = make("input", { type: "range", min: 0, max: values.length - 1, step: 1,
      id: `slider-${axis}`, input: () => slide(axis, values[Number(input.value)]) });
    inputs.set(axis, { input, output, values });
    panel.append(make("div", { class: "slider" },
      make("label", { for: `slider-${axis}` }, axis), input, output));
  }

  function slide(axis, value) {
    moved = axis;
    held = { ...held, [axis]: value };
    const row = nearestRow(held, axis);
    show();
    if (row >= 0) change({ point: row });
    else refreshStrip();
    byId("slider-note").textContent = row >= 0
      ? differing(row) : `No point has ${axis} ${shownValue(value)}.`;
  }

  // The point with this value of one axis that has most of the other values; the nearest to people
  // of several.
  function nearestRow(wanted, axis) {
    let best = -1;
    let most = -1;
    const ranking = columnOf(report.data.ranking);
    for (let row = 0; row < report.count; row += 1) {
      if (valueOf(axis, row) !== wanted[axis] || isReference(row)) continue;
      let fitting = axes.filter((other) => valueOf(other, row) === wanted[other]).length * 4;
      fitting += valueOf("status", row) === "done" ? 2 : 0;
      const seed = report.state.point >= 0 && valueOf("seed", report.state.point);
      fitting += valueOf("seed", row) === seed ? 1 : 0;
      const nearer = fitting === most && ranking && ranking.get(row) < ranking.get(best);
      if (fitting > most || nearer) {
        best = row;
        most = fitting;
      }
    }
    return best;
  }

  const differing = (row) => {
    const other = axes.filter((axis) => held[axis] !== undefined
      && valueOf(axis, row) !== held[axis]);
    return other.length
      ? `No such point; the nearest one has ${other
        .map((axis) => `${axis} ${shownValue(valueOf(axis, row))}`).join(", ")}.`
      : "";
  };

  function show() {
    for (const [axis, { input, output, values }] of inputs) {
      const place = values.indexOf(held[axis]);
      if (place >= 0) input.value = place;
      const text = place >= 0 ? shownValue(held[axis]) : "-";
      output.textContent = text;
      input.setAttribute("aria-valuetext", `${axis} ${text}`);
    }
  }

  async function refreshStrip() {
    ticket += 1;
    const mine = ticket;
    const values = spaced(inputs.get(moved).values, STRIP);
    const base = Object.fromEntries(axes.map((axis) => [axis, held[axis]]));
    const cells = await Promise.all(values.map(async (value) => {
      const row = nearestRow({ ...base, [moved]: value }, moved);
      const same = row >= 0 && axes.every((axis) => axis === moved
        || base[axis] === undefined || valueOf(axis, row) === base[axis]);
      const drawn = same ? await drawingsCanvas(
        row, report.state.classNumber, { most: 4, line: 2, exemplar: false }) : null;
      return make("figure", { class: "strip-cell", "data-value": shownValue(value) },
        drawn ? drawn.canvas : make("p", { class: "quiet" }, same ? "no drawings" : "no point"),
        make("figcaption", { class: value === held[moved] ? "current" : undefined },
          `${moved} ${shownValue(value)}`));
    }));
    if (mine !== ticket) return;
    replace(byId("strip"), cells);
    byId("strip").dataset.ready = moved;
  }

  function refresh(changed) {
    if (!["point", "class", "first"].some((name) => changed.has(name))) return;
    const row = report.state.point;
    if (row >= 0 && !isReference(row)) {
      held = Object.fromEntries(axes.map((axis) => [axis, valueOf(axis, row)]));
    }
    show();
    if (byId("sliders-section").open) refreshStrip();
  }

  byId("sliders-section").addEventListener("toggle", () => {
    if (byId("sliders-section").open) refreshStrip();
  });
  return { refresh };
}

// So many of some items, evenly spaced, with the first and the last.
function spaced(items, most) {
  const count = Math.min(items.length, most);
  return Array.from({ length: count }, (_, i) =>
    items[Math.round((i * (items.length - 1)) / Math.max(count - 1, 1))]);
}
