// The sections below the plane; each is made when it is opened, and follows the selection.

const COMPARED = 6; // points whose curves are drawn together
const DOTS = 3000; // of the chart of costs

// A section that makes itself when it is open and something has changed that it shows.
function lazySection(id, depends, makeContent) {
  const section = byId(id);
  const body = section.querySelector(".body");
  let stale = true;
  let ticket = 0;
  async function show() {
    if (!section.open || !stale) return;
    stale = false;
    ticket += 1;
    const mine = ticket;
    const content = await makeContent();
    if (mine !== ticket) return;
    replace(body, content);
    section.dataset.ready = String(mine);
  }
  section.addEventListener("toggle", show);
  return {
    refresh(changed) {
      if (changed.has("first") || depends.some((name) => changed.has(name))) stale = true;
      show();
    },
  };
}

// The points whose curves are shown: people where asked, the point, and the pins.
function comparedRows(withPeople) {
  const people = withPeople ? report.references.filter((row) => valueOf("model", row) === "human")
    .slice(0, 1) : [];
  const rows = [...people, report.state.point, ...report.state.pins].filter((row) => row >= 0);
  const best = report.order.find((row) => !isReference(row));
  if (rows.length === people.length && best !== undefined) rows.push(best);
  return [...new Set(rows)].slice(0, COMPARED);
}

const seriesColour = (row, place) => (valueOf("model", row) === "human"
  ? look().people : look().families[place % look().families.length]);

async function generalizationContent() {
  const rows = comparedRows(true);
  const series = [];
  for (const [place, row] of rows.entries()) {
    const found = (await report.blocks.detailsOf(row)).generalization;
    if (found) {
      series.push({ name: settingText(row), colour: seriesColour(row, place), dots: true,
        points: found[0].map((x, i) => [x, found[1][i] ?? NaN]) });
    }
  }
  if (!series.length) return make("p", { class: "quiet" }, `No curve is known of these points.${
    report.blocks.missing.size ? " The curves lie beside this file: --serve shows them." : ""}`);
  return [
    make("p", { class: "quiet" }, "Drawings in ten bins of rising originality: the further right, "
      + "the further from the exemplar. People, the point, and the pins."),
    chart(series, { title: "Recognizability of ever more original drawings",
      x: "originality", y: "recognizability (%)" }),
  ];
}

async function curvesContent() {
  const rows = comparedRows(false);
  const series = [];
  for (const [place, row] of rows.entries()) {
    const found = (await report.blocks.detailsOf(row)).curves;
    if (!found) continue;
    const colour = seriesColour(row, place);
    const end = valueOf("status", row) === "diverged" ? ", diverged" : "";
    for (const [name, dashed] of [["train_loss", true], ["validation_loss", false]]) {
      if (!found[name] || !found[name].some((value) => value !== null)) continue;
      series.push({ name: dashed && found.validation_loss ? "" : settingText(row) + end, colour,
        dashed,
        points: found.epoch.map((epoch, i) => [epoch, found[name][i] ?? NaN]) });
    }
  }
  if (!series.length) return make("p", { class: "quiet" }, "No curve of training of these points.");
  const { thinned } = report.data.details;
  return [make("p", { class: "quiet" }, "Dashed: training items; solid: validation items."),
  thinned ? make("p", { class: "quiet" },
    "Of long trainings evenly spaced epochs are shown; curves.parquet has all.") : null,
  chart(series, { title: "Loss by epoch", x: "epoch", y: "loss", width: 560 })];
}

function effectsContent() {
  const { effects } = report.data;
  if (effects.reason) return make("p", { class: "quiet" }, effects.reason);
  return effects.axes.map((effect) => {
    const share = effect.share === null
      ? `confounded with ${effect.confounded}: ${percent(effect.joint)} of the variance together`
      : `${percent(effect.share)} of the variance of the distance`;
    const chance = effect.p === null ? "" : `, p ${effect.p}`;
    return make("section", { class: "effect" }, make("h3", {}, effect.axis),
      make("p", { class: "quiet" }, share + chance),
      make("div", { class: "charts" }, effects.metrics.map((metric) => {
        const means = effect.means[metric];
        return chart([{ name: metric, colour: look().families[0], dots: true,
          dotsOnly: !effect.ordered,
          points: means.map(([, mean, low, high], i) => [i, mean ?? NaN, low, high]) }],
        { title: UNITS[metric] || metric, x: effect.axis, y: metric,
          ticksX: means.map(([value]) => value), width: 320, height: 220 });
      })));
  });
}

const percent = (share) => (share === null ? "?" : `${(100 * share).toFixed(1)} %`);

async function sheetsContent() {
  const { sheets } = report.data;
  if (!sheets.length) return make("p", { class: "quiet" }, "No sheets are kept of these points.");
  return Promise.all(sheets.map(async (sheet) => {
    sheet.bytes = sheet.bytes || await unpacked(bytesOfText(sheet.pixels));
    const canvas = make("canvas", { width: sheet.width, height: sheet.height, role: "img",
      class: "sheet", "aria-label": `${sheet.name} of ${sheet.setting}` });
    const context = canvas.getContext("2d");
    const image = context.createImageData(sheet.width, sheet.height);
    const kind = { height: sheet.height, width: sheet.width, channels: sheet.channels, bits: 8 };
    paintImage(image, kind, sheet.bytes, 0, 0, 0, 1, PAPER.drawing);
    context.putImageData(image, 0, 0);
    const cut = sheet.shownRows < sheet.rows || sheet.shownColumns < sheet.columns
      ? `, ${sheet.shownRows} of ${sheet.rows} lines and ${sheet.shownColumns} of ${sheet.columns}`
        + " columns" : "";
    return make("figure", {}, make("figcaption", {},
      make("button", { type: "button", class: "plain",
        click: () => change({ point: pointNumber(sheet.point) }) },
      `${sheet.name}: ${sheet.setting}`), cut), canvas);
  }));
}

function failuresContent() {
  const groups = new Map();
  for (let row = 0; row < report.count; row += 1) {
    const status = valueOf("status", row);
    if (status === "done") continue;
    const first = String(valueOf("error", row) || "").split("\n")[0];
    const key = first ? `${status}: ${first}` : status;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  if (!groups.size) return make("p", { class: "quiet" }, "Every point here is done.");
  const sorted = [...groups].sort((a, b) => b[1].length - a[1].length);
  return make("ul", { class: "failures" }, sorted.map(([key, rows]) => make("li", {},
    make("strong", {}, `${rows.length} x `), make("code", {}, key),
    make("div", {}, rows.slice(0, 12).map((row) => make("button", { type: "button", class: "plain",
      click: () => change({ point: row }) }, `${valueOf("point_id", row)} ${settingText(row)}`)),
    rows.length > 12 ? ` and ${rows.length - 12} more` : ""),
    [...new Set(rows.slice(0, 3).map((row) => valueOf("log", row)).filter(Boolean))]
      .map((log) => make("div", { class: "quiet" }, `log: ${log}`)))));
}

function secondsOf(row) {
  const stages = ["train_seconds", "tune_seconds", "draw_seconds", "score_seconds"];
  return stages.map((name) => valueOf(name, row) || 0).reduce((sum, value) => sum + value, 0);
}

function costContent() {
  const ranking = report.data.ranking;
  const largest = report.data.largestFirst.includes(ranking) ? -1 : 1;
  const rows = report.order.filter((row) => !isReference(row) && secondsOf(row) > 0);
  const scored = rows.filter((row) => !filterEmpty(valueOf(ranking, row)));
  const bySeconds = [...scored].sort((a, b) => secondsOf(a) - secondsOf(b)
    || largest * (valueOf(ranking, a) - valueOf(ranking, b)));
  const pareto = [];
  for (const row of bySeconds) {
    const last = pareto[pareto.length - 1];
    if (last === undefined
      || largest * valueOf(ranking, row) < largest * valueOf(ranking, last)) pareto.push(row);
  }
  const shown = spaced(bySeconds, DOTS);
  const grey = { colour: look().grey, dotsOnly: true, small: true };
  const point = (row) => [secondsOf(row), valueOf(ranking, row), undefined, undefined, row];
  const totals = ["train_seconds", "tune_seconds", "draw_seconds", "score_seconds"]
    .map((name) => [name, rows.reduce((sum, row) => sum + (valueOf(name, row) || 0), 0)])
    .filter(([, sum]) => sum > 0);
  const all = totals.reduce((sum, [, part]) => sum + part, 0);
  return [
    totals.length ? listOf(totals.map(([name, sum]) => [name,
      `${shownValue(Math.round(sum))} s of all matching points (${percent(sum / all)})`]))
      : make("p", { class: "quiet" }, "No seconds are known of the matching points."),
    shown.length ? chart([
      { name: "points", ...grey, points: shown.map(point) },
      { name: "nothing cheaper is better", colour: look().families[0], steps: true, dots: true,
        wide: true, points: pareto.map(point) },
    ], { title: `${UNITS[ranking] || ranking} against seconds`, x: "seconds (logarithmic)",
      y: ranking, logX: true, width: 560, height: 300 }) : null,
    shown.length < scored.length
      ? make("p", { class: "quiet" }, `${shown.length} of ${scored.length} points are drawn.`)
      : null,
    pareto.length ? make("ol", { class: "pareto" }, pareto.map((row) => make("li", {},
      make("button", { type: "button", class: "plain", click: () => change({ point: row }) },
        settingText(row)), `: ${shownValue(secondsOf(row))} s, ${shownValue(valueOf(ranking, row),
          ranking)}`))) : null,
  ];
}

function provenanceContent() {
  const { data } = report;
  const constant = [...report.columns.values()].filter((column) =>
    ["provenance", "setting"].includes(column.group) && column.different().length === 1);
  const several = [...report.columns.values()].filter((column) => column.group === "provenance"
    && column.different().length > 1);
  return [
    listOf([["sweeps", data.sweeps.join(", ")], ["question", data.question || "-"],
      ["revision", data.revision || "unknown"], ["written", data.written]]),
    make("h3", {}, "Commands"),
    data.commands.map((command) => make("p", {}, make("code", {}, command))),
    make("h3", {}, "The same for all points"),
    listOf(constant.map((column) => [column.name, shownValue(firstKnown(column))])),
    make("h3", {}, "Different"),
    listOf(several.map((column) => [column.name, `${column.different().length} values`])),
    data.critics.length ? make("h3", {}, "Critics") : null,
    data.critics.map((critic) => listOf(Object.entries(critic)
      .map(([name, value]) => [name, shownValue(value)]))),
  ];
}

function firstKnown(column) {
  for (let row = 0; row < report.count; row += 1) {
    if (!filterEmpty(column.get(row))) return column.get(row);
  }
  return null;
}

function definitionsContent() {
  const known = [...report.columns.values()].filter((column) => column.text);
  return make("dl", { class: "pairs wide" }, known.map((column) => [
    make("dt", {}, column.name), make("dd", {}, column.text)]).flat());
}

function sectionViews() {
  return [
    lazySection("generalization-section", ["point", "pins", "order"], generalizationContent),
    lazySection("curves-section", ["point", "pins", "order"], curvesContent),
    lazySection("effects-section", [], effectsContent),
    lazySection("sheets-section", [], sheetsContent),
    lazySection("failures-section", [], failuresContent),
    lazySection("cost-section", ["order"], costContent),
    lazySection("provenance-section", [], provenanceContent),
    lazySection("definitions-section", [], definitionsContent),
  ];
}
