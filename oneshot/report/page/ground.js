// What lies under and over the points of the plane: axes, ellipses, chance, people, a legend.

const FONT = "12px system-ui, sans-serif";

// Round numbers from low to high, about so many.
function ticks(low, high, about = 6) {
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const spacing = [1, 2, 5, 10].map((by) => by * power).find((by) => by >= raw * 0.999);
  const out = [];
  for (let i = Math.ceil(low / spacing); i * spacing <= high + spacing * 1e-9; i += 1) {
    out.push(Number((i * spacing).toPrecision(12)));
  }
  return out;
}

const UNITS = {
  diversity_ratio: "diversity / people's", recognizability: "recognizability (%)",
  human_distance: "distance to people (sd)",
};

function drawAxes(context, view, xName, yName) {
  const { ink, grey } = look();
  const { across, up } = view;
  context.strokeStyle = grey;
  context.fillStyle = ink;
  context.lineWidth = 1;
  context.font = FONT;
  context.beginPath();
  context.moveTo(across.from, up.to);
  context.lineTo(across.from, up.from);
  context.lineTo(across.to, up.from);
  context.stroke();
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const tick of ticks(across.low, across.high, view.width / 90)) {
    context.fillText(String(tick), placeAt(across, tick), up.from + 6);
  }
  context.fillText(UNITS[xName] || xName, (across.from + across.to) / 2, up.from + 22);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of ticks(up.low, up.high, view.height / 60)) {
    context.fillText(String(tick), across.from - 6, placeAt(up, tick));
  }
  context.save();
  context.translate(13, (up.from + up.to) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(UNITS[yName] || yName, 0, 0);
  context.restore();
}

function haloText(context, text, x, y, colour, paper) {
  context.font = FONT;
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = paper;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

// Ellipses of equal distance to people, and the line of chance.
function drawGround(context, view) {
  const { plane } = report.data;
  const { ring, grey, paper } = look();
  const { across, up } = view;
  context.save();
  context.beginPath();
  context.rect(across.from, up.to, across.to - across.from, up.from - up.to);
  context.clip();
  context.textAlign = "center";
  context.textBaseline = "middle";
  if (plane.human && plane.units) {
    const centre = [placeAt(across, plane.human[0]), placeAt(up, plane.human[1])];
    const unit = [
      placeAt(across, plane.human[0] + plane.units[0]) - centre[0],
      centre[1] - placeAt(up, plane.human[1] + plane.units[1]),
    ];
    for (const distance of plane.rings) {
      context.beginPath();
      context.ellipse(...centre, distance * unit[0], distance * unit[1], 0, 0, 2 * Math.PI);
      context.strokeStyle = ring;
      context.lineWidth = 1;
      context.stroke();
      const angle = (125 * Math.PI) / 180;
      const x = centre[0] + distance * unit[0] * Math.cos(angle);
      const y = centre[1] + distance * unit[1] * Math.sin(angle);
      haloText(context, String(distance), x, y, grey, paper);
    }
  }
  const level = placeAt(up, plane.chance);
  context.setLineDash([4, 3]);
  context.strokeStyle = grey;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(across.from, level);
  context.lineTo(across.to, level);
  context.stroke();
  context.setLineDash([]);
  context.textAlign = "right";
  context.textBaseline = "bottom";
  haloText(context, `chance ${plane.chance} %`, across.to - 2, level - 2, grey, paper);
  context.restore();
}

// People are a star, copies a square, noise a cross, the same everywhere.
function drawLandmarks(context, view) {
  const { people, ink, paper } = look();
  const named = new Set();
  for (const row of report.references) {
    const model = valueOf("model", row);
    if (!(model in LANDMARKS)) continue;
    const x = placeAt(view.across, valueOf(report.state.x, row) ?? NaN);
    const y = placeAt(view.up, valueOf(report.state.y, row) ?? NaN);
    if (Number.isNaN(x + y)) continue;
    const colour = model === "human" ? people : ink;
    context.beginPath();
    if (model === "human") {
      for (let i = 0; i < 10; i += 1) {
        const radius = i % 2 ? 4 : 10;
        const angle = (i * Math.PI) / 5 - Math.PI / 2;
        context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
      }
      context.closePath();
    } else if (model === "copy") context.rect(x - 4, y - 4, 8, 8);
    else {
      for (const sign of [1, -1]) {
        context.moveTo(x - 5, y - 5 * sign);
        context.lineTo(x + 5, y + 5 * sign);
      }
    }
    context.strokeStyle = model === "noise" ? colour : paper;
    context.lineWidth = model === "noise" ? 2 : 1;
    context.fillStyle = colour;
    if (model !== "noise") context.fill();
    context.stroke();
    if (named.has(model)) continue; // of several critics one label is enough
    named.add(model);
    const right = x > view.width - 80;
    context.textAlign = right ? "right" : "left";
    context.textBaseline = "middle";
    context.fillStyle = colour;
    haloText(context, LANDMARKS[model], x + (right ? -13 : 13), y, colour, paper);
  }
}

function legend(scheme) {
  const { ink } = look();
  const swatch = (colour, shape) => {
    const canvas = make("canvas",
      { width: 24, height: 24, class: "swatch", "aria-hidden": "true" });
    const context = canvas.getContext("2d");
    context.fillStyle = colour;
    context.beginPath();
    shapePath(context, shape, 12, 12, 8);
    context.fill();
    return canvas;
  };
  const parts = [make("span", { class: "legend-name" }, scheme.name)];
  if (scheme.legend && scheme.legend.length <= 24) {
    for (const [text, colour, shape] of scheme.legend) {
      parts.push(make("span", { class: "legend-item" }, swatch(colour, shape), text));
    }
  } else if (scheme.scale) {
    const canvas = make("canvas",
      { width: STEPS, height: 1, class: "scale", "aria-hidden": "true" });
    const context = canvas.getContext("2d");
    scheme.scale.forEach((colour, i) => {
      context.fillStyle = colour;
      context.fillRect(i, 0, 1, 1);
    });
    parts.push(make("span", { class: "legend-item" }, shownValue(scheme.low, scheme.name), canvas,
      shownValue(scheme.high, scheme.name), scheme.logarithmic ? " (logarithmic)" : ""));
  } else if (scheme.legend) {
    parts.push(make("span", {}, `${scheme.legend.length} values, colours repeat`));
  }
  byId("legend").style.color = ink;
  replace(byId("legend"), parts);
}
