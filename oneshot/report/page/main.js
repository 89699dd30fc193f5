// Reads the page's data, makes the views, and keeps them in step with the address.

const POLL_SECONDS = 5; // between two looks at whether a served page of a run has changed
const IDLE_SECONDS = 8; // without a touch, after which such a page reloads itself

async function begin() {
  const bytes = await inlineBlock("data");
  report.data = parsedJson(bytes);
  const { data } = report;
  report.count = data.count;
  for (const encoded of data.columns) {
    report.columns.set(encoded.name, new Column(encoded, data.count));
  }
  for (const empty of data.empty) {
    if (report.columns.has(empty.name)) continue;
    report.columns.set(empty.name, new Column(
      { ...empty, group: "empty", type: "float", text: "", const: null }, data.count));
  }
  report.blocks = new Blocks(data);
  for (let row = 0; row < report.count; row += 1) {
    if (isReference(row)) report.references.push(row);
  }
  const first = data.axes.find((axis) => axis !== "model") || "model";
  const planeKnown = data.plane.scored && columnOf(data.plane.x);
  report.standard = {
    sort: columnOf(data.ranking) ? data.ranking : "point_id",
    colour: columnOf(first) ? first : "model",
    x: planeKnown ? data.plane.x : otherAxis(first),
    y: planeKnown ? data.plane.y : data.ranking,
  };
  if (!columnOf(report.standard.y)) report.standard.y = report.standard.x;
  Object.assign(report.state, stateOfFragment(location.hash.slice(1)));
  if (data.largestFirst.includes(data.ranking) && !location.hash) report.state.descending = true;
  showHead();
  const plane = planeView();
  report.plane = plane;
  report.views = [plane, pointView(), tableView(), controlsView(), pinsView(), slidersView(),
    ...sectionViews(), exportsView(plane)];
  applyFilter();
  applyBrush();
  applyOrder();
  if (report.state.point < 0) {
    const best = report.order.find((row) => !isReference(row));
    if (best !== undefined) report.state.point = best;
  }
  const all = new Set(["first", "look", "matching", "order", "point", "pins"]);
  for (const view of report.views) view.refresh(all);
  listen(plane);
  if (data.running) follow();
}

// What lies across where there is no plane: the first numbers that vary.
function otherAxis(first) {
  if (columnOf(first) && columnOf(first).isNumeric) return first;
  const found = [...report.columns.values()].find((column) => column.isNumeric
    && column.different().length > 1 && ["metric", "axis", "cost"].includes(column.group));
  return found ? found.name : "seed";
}

function listen(plane) {
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width && !report.printing) return;
    width = innerWidth;
    plane.redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    plane.redraw();
    const all = new Set(["first", "point"]);
    for (const view of report.views) if (view !== plane) view.refresh(all);
  });
  addEventListener("hashchange", () => change(stateOfFragment(location.hash.slice(1))));
  addEventListener("beforeprint", () => {
    report.printing = true;
    report.opened = [...document.querySelectorAll("details:not([open])")];
    plane.redraw();
  });
  addEventListener("afterprint", () => {
    report.printing = false;
    plane.redraw();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target === document.body) change({ brush: null });
  });
}

function showHead() {
  const { data } = report;
  const counts = columnOf("status");
  const by = {};
  for (let row = 0; row < report.count; row += 1) {
    if (isReference(row)) continue;
    const status = counts.get(row);
    by[status] = (by[status] || 0) + 1;
  }
  const seeds = columnOf("seed").different().length;
  const parts = Object.entries(by).map(([status, count]) => `${thousands(count)} ${status}`);
  const revision = data.revision ? `revision ${data.revision.slice(0, 8)}` : "revision unknown";
  byId("counts").textContent = [...parts, shownCount(seeds, "seed"), revision].join(", ");
  byId("question").textContent = data.question;
  byId("question").hidden = !data.question;
  byId("luck").textContent = data.luck ? `${data.luck}.` : "";
  const notes = [...data.warnings, ...data.notes];
  const { served } = data;
  if (served && !report.blocks.served) {
    notes.push(`${thousands(served.inline)} points show their drawings in this file, those `
      + `nearest to people and farthest; the others lie beside it: ${served.command}`);
  }
  replace(byId("notes"), notes.map((note) => make("li", {}, note)));
  byId("notes-box").hidden = !notes.length;
}

// A page of a run that is under way says so; served, it looks for a newer one by itself.
function follow() {
  const note = byId("running");
  note.hidden = false;
  const load = make("button", { type: "button", click: () => location.reload() }, "reload");
  const text = make("span", {}, `Written ${report.data.written} while the run was under way. `);
  replace(note, text, load);
  if (!location.protocol.startsWith("http")) return;
  let touched = Date.now();
  for (const kind of ["pointermove", "keydown", "scroll"]) {
    addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
  }
  let seen = null;
  setInterval(async () => {
    try {
      const answer = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });
      const now = answer.headers.get("ETag");
      if (seen && now && now !== seen) {
        text.textContent = "New rows came in. ";
        if (Date.now() - touched > IDLE_SECONDS * 1000) location.reload();
      } else seen = now;
    } catch {
      text.textContent = "The server of this page does not answer. ";
    }
  }, POLL_SECONDS * 1000);
}

begin().then(() => {
  document.documentElement.dataset.ready = "true";
}).catch((error) => {
  document.documentElement.dataset.ready = "failed";
  const note = byId("running");
  note.hidden = false;
  note.textContent = `This page could not be shown: ${error.message}. `
    + "It needs a browser of 2023 or later.";
  throw error;
});
