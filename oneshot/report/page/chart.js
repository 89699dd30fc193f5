// Small charts as SVG: lines, dots, intervals and steps, with a text for screen readers.

// series: [{ name, colour, dashed, dots, steps, points: [[x, y, low, high, row]] }]
function chart(series, { title, x, y, logX = false, ticksX = null, width = 560, height = 300 }) {
  const points = series.flatMap((one) => one.points).filter((point) => Number.isFinite(point[1])
    && (!logX || point[0] > 0));
  const box = { left: 52, right: 12, top: 10, bottom: 40 };
  const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img",
    "aria-label": `${title}. ${chartText(series, x, y)}` });
  if (!points.length) return make("p", { class: "quiet" }, `${title}: nothing to draw.`);
  const scaled = (value) => (logX ? Math.log10(value) : value);
  const rangeX = padded(range(points.map((point) => scaled(point[0]))), ticksX ? 0.08 : 0.02);
  const ends = points.flatMap((point) => [point[1], point[2], point[3]]).filter(Number.isFinite);
  const rangeY = padded(range(ends), 0.06);
  const across = { low: rangeX[0], high: rangeX[1], from: box.left, to: width - box.right };
  const up = { low: rangeY[0], high: rangeY[1], from: height - box.bottom, to: box.top };
  const at = (point, value = point[1]) => [placeAt(across, scaled(point[0])), placeAt(up, value)];
  svg.append(...chartAxes(across, up, { x, y, logX, ticksX }));
  for (const one of series) svg.append(...chartSeries(one, at, logX));
  const named = series.filter((one) => one.name);
  return make("figure", { class: "chart-box" }, make("figcaption", {}, title), svg,
    named.length > 1 || (named.length && named[0].legend)
      ? make("p", { class: "chart-legend" }, named.map((one) => {
        const mark = make("span", { class: "line-mark", "aria-hidden": "true" });
        mark.style.background = one.colour;
        return make("span", { class: "legend-item" }, mark, one.name);
      })) : null);
}

function padded([low, high], share) {
  const room = (high - low) * share || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

function chartText(series, x, y) {
  const parts = series.filter((one) => one.points.length).slice(0, 4).map((one) => {
    const [first, last] = [one.points[0], one.points[one.points.length - 1]];
    return `${one.name || y} from ${shownValue(first[1])} to ${shownValue(last[1])}`;
  });
  return `${y} against ${x}: ${parts.join("; ")}`;
}

function chartAxes(across, up, { x, y, logX, ticksX }) {
  const text = (content, left, top, anchor) => makeSvg("text", { x: left, y: top,
    "text-anchor": anchor }, content);
  const parts = [makeSvg("path", { class: "axis",
    d: `M${across.from},${up.to}V${up.from}H${across.to}` })];
  if (ticksX) {
    const every = Math.ceil(ticksX.length / 9);
    ticksX.forEach((label, i) => {
      if (i % every === 0) parts.push(text(label, placeAt(across, i), up.from + 15, "middle"));
    });
  } else {
    const places = ticks(across.low, across.high, logX ? 4 : 6);
    for (const tick of places.filter((place) => !logX || Number.isInteger(place))) {
      const label = logX ? shownValue(10 ** tick) : String(tick);
      parts.push(text(label, placeAt(across, tick), up.from + 15, "middle"));
    }
    if (logX && places.filter(Number.isInteger).length < 2) {
      for (const end of [across.low, across.high]) {
        parts.push(text(shownValue(Number((10 ** end).toPrecision(2))), placeAt(across, end),
          up.from + 15, end === across.low ? "start" : "end"));
      }
    }
  }
  for (const tick of ticks(up.low, up.high, 5)) {
    parts.push(text(String(tick), across.from - 5, placeAt(up, tick) + 4, "end"));
  }
  parts.push(text(x, (across.from + across.to) / 2, up.from + 33, "middle"));
  const label = text(y, 0, 0, "middle");
  label.setAttribute("transform", `translate(12 ${(up.from + up.to) / 2}) rotate(-90)`);
  parts.push(label);
  return parts;
}

function chartSeries(one, at, logX) {
  const known = one.points.filter((point) => Number.isFinite(point[1]) && (!logX || point[0] > 0));
  const parts = [];
  for (const point of known) {
    if (Number.isFinite(point[2]) && Number.isFinite(point[3])) {
      const [x, low] = at(point, point[2]);
      const high = at(point, point[3])[1];
      parts.push(makeSvg("path", { d: `M${x},${low}V${high}`, class: "interval" }));
    }
  }
  if (!one.dotsOnly && known.length > 1) {
    const path = known.map((point, i) => {
      const [x, y] = at(point);
      if (!i) return `M${x.toFixed(1)},${y.toFixed(1)}`;
      return one.steps ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `L${x.toFixed(1)},${y.toFixed(1)}`;
    }).join("");
    parts.push(makeSvg("path", { d: path, fill: "none", stroke: one.colour,
      "stroke-width": one.wide ? 2.5 : 1.5, "stroke-dasharray": one.dashed ? "5 3" : undefined }));
  }
  if (one.dots || one.dotsOnly) {
    for (const point of known) {
      const [x, y] = at(point);
      parts.push(makeSvg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: one.small ? 2 : 3.2,
        fill: one.colour, class: point[4] === undefined ? undefined : "reached",
        click: point[4] === undefined ? undefined : () => change({ point: point[4] }) }));
    }
  }
  return parts;
}
