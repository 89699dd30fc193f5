// What leaves the page: the selection as a --where expression, its rows as CSV, a picture as PNG.

// A text as the language of --where reads it.
const quoted = (text) => `'${String(text).replaceAll("\\", "\\\\").replaceAll("'", "\\'")
  .replaceAll("\n", "\\n").replaceAll("\r", "\\r")}'`;

// The selection: pins if there are any, else filter and brush; all points if there is neither.
function selectionExpression() {
  const { pins, where, brush, x, y } = report.state;
  if (pins.length) {
    const ids = pins.map((row) => quoted(valueOf("point_id", row)));
    return `point_id in [${ids.join(", ")}]`;
  }
  const parts = [];
  if (where.trim() && !report.filterProblem) parts.push(where.trim());
  if (brush) {
    const [left, bottom, right, top] = brush;
    parts.push(`${x} >= ${left} and ${x} <= ${right} and ${y} >= ${bottom} and ${y} <= ${top}`);
  }
  if (parts.length === 2) parts[0] = `(${parts[0]})`;
  return parts.join(" and ") || "point_id != None";
}

function csvOf(rows) {
  const columns = [...report.columns.values()];
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = value instanceof Date ? value.toISOString() : pythonText(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map((column) => cell(column.name)).join(",")];
  for (const row of rows) lines.push(columns.map((column) => cell(column.get(row))).join(","));
  return `${lines.join("\n")}\n`;
}

function pythonText(value) {
  if (value === true) return "True";
  return value === false ? "False" : String(value);
}

// The plane with its title and, below, the drawings of the point.
function pictureOfPage(plane) {
  const { cloud, over } = plane;
  const drawn = byId("point").querySelector("canvas");
  const ratio = Math.min(devicePixelRatio || 1, 3);
  const title = 34 * ratio;
  const below = drawn ? drawn.height * ratio + 44 * ratio : 0;
  const canvas = make("canvas", { width: Math.max(cloud.width, drawn ? drawn.width * ratio : 0),
    height: cloud.height + title + below });
  const context = canvas.getContext("2d");
  const { paper, ink } = look();
  context.fillStyle = paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = ink;
  context.font = `bold ${14 * ratio}px system-ui, sans-serif`;
  context.fillText(report.data.finding, 10 * ratio, 22 * ratio, canvas.width - 20 * ratio);
  context.drawImage(cloud, 0, title);
  context.drawImage(over, 0, title);
  if (drawn) {
    context.font = `${12 * ratio}px system-ui, sans-serif`;
    const { point } = report.state;
    context.fillText(`${valueOf("point_id", point)} ${settingText(point)}`,
      10 * ratio, cloud.height + title + 18 * ratio, canvas.width - 20 * ratio);
    context.imageSmoothingEnabled = false;
    context.drawImage(drawn, 10 * ratio, cloud.height + title + 30 * ratio,
      drawn.width * ratio, drawn.height * ratio);
  }
  return canvas;
}

function exportsView(plane) {
  const name = report.data.name.replace(/[^A-Za-z0-9_-]+/g, "_");
  byId("export-where").addEventListener("click", (event) =>
    copyText(selectionExpression(), event.target));
  byId("export-csv").addEventListener("click", () => {
    const rows = report.state.pins.length ? report.state.pins : report.order;
    download(`${name}.csv`, new Blob([csvOf(rows)], { type: "text/csv" }));
    announce(`${shownCount(rows.length, "row")} as CSV`);
  });
  byId("export-png").addEventListener("click", () => {
    pictureOfPage(plane).toBlob((blob) => download(`${name}.png`, blob), "image/png");
  });
  return {
    refresh() {
      byId("selection").textContent = selectionExpression();
    },
  };
}
