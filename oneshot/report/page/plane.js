// The plane: points, people, copies, noise, chance and ellipses; hover, tap, arrow keys and brush.

const MARGIN = { left: 52, right: 14, top: 12, bottom: 42 };
const BARS = 2000; // points whose error bars are drawn
const LANDMARKS = { human: "people", copy: "copies", noise: "noise" };

function planeView() {
  const cloud = byId("cloud");
  const over = byId("over");
  const frame = byId("plane");
  const renderer = canvasRenderer(cloud);
  let points = null;
  let view = null;
  let drag = null;
  let awaited = 0;

  const onPlane = () => report.state.x === report.data.plane.x
    && report.state.y === report.data.plane.y && report.data.plane.scored;

  function makePoints() {
    const { state } = report;
    const scheme = colouring(state.colour);
    const models = columnOf("model");
    const x = columnOf(state.x).numbers();
    const y = columnOf(state.y).numbers();
    const hidden = new Set(report.references);
    const order = [];
    for (let row = 0; row < report.count; row += 1) {
      if (!(onPlane() && hidden.has(row) && models.get(row) in LANDMARKS)) order.push(row);
    }
    const rank = columnOf(report.data.ranking);
    if (rank) {
      const numbers = rank.numbers();
      order.sort((a, b) => (numbers[b] - numbers[a]) || a - b); // the nearest on top
    }
    points = {
      count: report.count, x, y, colour: scheme.codes, shape: shapesOf(scheme),
      matching: report.matching, order: Uint32Array.from(order),
    };
    view = { ...limits(x, y), palette: scheme.palette };
    legend(scheme);
  }

  function limits(x, y) {
    if (onPlane()) {
      const most = range(x)[1];
      let high = report.state.x === "diversity" ? 3.2 : 2.4;
      while (most > 0 && most * 1.1 < high / 2) high /= 2;
      const across = { low: 0, high: most > 0 ? Math.max(high, 1.05 * most) : high };
      return { across, up: { low: 0, high: 102 } };
    }
    const padded = ([low, high]) => {
      const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
      return { low: low - room, high: high + room };
    };
    return { across: padded(range(x)), up: padded(range(y)) };
  }

  function size() {
    const width = Math.max(frame.clientWidth, 200);
    const height = Math.round(Math.max(240, Math.min(width * 0.76, innerHeight * 0.8, 1400)));
    const ratio = Math.min(devicePixelRatio || 1, 3);
    for (const canvas of [cloud, over]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    frame.style.height = `${height}px`;
    Object.assign(view, { width, height, ratio });
    Object.assign(view.across, { from: MARGIN.left, to: width - MARGIN.right });
    Object.assign(view.up, { from: height - MARGIN.bottom, to: MARGIN.top });
  }

  function drawCloud() {
    const context = cloud.getContext("2d");
    const { paper, edge, pale } = look();
    const count = points.order.length;
    const wide = Math.sqrt(view.width / 560);
    view.pale = pale;
    view.edge = count <= 500 ? edge : "";
    view.radius = (count <= 60 ? 4.5 : count <= 500 ? 3.2 : count <= 3000 ? 2.4 : 1.6) * wide;
    points.matching = report.matching;
    context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    context.fillStyle = paper;
    context.fillRect(0, 0, view.width, view.height);
    drawAxes(context, view, report.state.x, report.state.y);
    if (onPlane()) drawGround(context, view);
    if (report.state.bars) drawBars(context);
    renderer.draw(points, view);
    if (onPlane()) drawLandmarks(context, view);
    drawOver();
  }

  function drawBars(context) {
    const rows = report.order.slice(0, BARS);
    const sides = [report.state.x, report.state.y].map((name) => report.data.intervals[name]);
    context.strokeStyle = look().grey;
    context.lineWidth = 0.8;
    for (const row of rows) {
      sides.forEach((ends, side) => {
        if (!ends || ends[0][row] === null) return;
        const at = [placeAt(view.across, points.x[row]), placeAt(view.up, points.y[row])];
        const axis = side ? view.up : view.across;
        context.beginPath();
        for (const end of ends) {
          const place = placeAt(axis, end[row]);
          if (side) context.lineTo(at[0], place);
          else context.lineTo(place, at[1]);
        }
        context.stroke();
      });
    }
  }

  function drawOver() {
    const context = over.getContext("2d");
    const { ink, paper, grey } = look();
    context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    context.clearRect(0, 0, view.width, view.height);
    const ring = (row, radius, width, colour) => {
      const [x, y] = renderer.place(row);
      if (Number.isNaN(x + y)) return;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    };
    report.state.pins.forEach((row, number) => {
      ring(row, 7, 1.5, ink);
      const [x, y] = renderer.place(row);
      haloText(context, String(number + 1), x + 8, y - 8, ink, paper);
    });
    const { point, brush } = report.state;
    if (point >= 0) {
      ring(point, 9, 4, paper);
      ring(point, 9, 2, ink);
    }
    const box = drag && drag.box ? drag.box : brush && brushPlaces(brush);
    if (box) {
      context.setLineDash([5, 3]);
      context.strokeStyle = grey;
      context.lineWidth = 1.2;
      context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
      context.setLineDash([]);
    }
  }

  const brushPlaces = ([left, bottom, right, top]) => [
    placeAt(view.across, left), placeAt(view.up, top),
    placeAt(view.across, right), placeAt(view.up, bottom),
  ];

  function brushOfBox([left, top, right, bottom]) {
    const ends = [valueAt(view.across, left), valueAt(view.up, bottom),
      valueAt(view.across, right), valueAt(view.up, top)];
    return ends.map((end) => Number(end.toPrecision(6)));
  }

  function placeOfEvent(event) {
    const box = over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // One change a frame, however many events come.
  function soon(act) {
    cancelAnimationFrame(awaited);
    awaited = requestAnimationFrame(act);
  }

  over.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    drag = { from: placeOfEvent(event), touch: event.pointerType === "touch" };
    if (!drag.touch) over.setPointerCapture(event.pointerId);
  });
  over.addEventListener("pointermove", (event) => {
    const [x, y] = placeOfEvent(event);
    if (drag && !drag.touch && (drag.box || Math.hypot(x - drag.from[0], y - drag.from[1]) > 4)) {
      drag.box = [Math.min(x, drag.from[0]), Math.min(y, drag.from[1]),
        Math.max(x, drag.from[0]), Math.max(y, drag.from[1])];
      soon(() => { if (drag) followBrush(brushOfBox(drag.box)); });
      return;
    }
    if (drag) return;
    soon(() => hover(x, y));
  });
  over.addEventListener("pointerup", (event) => {
    const [x, y] = placeOfEvent(event);
    const ended = drag;
    drag = null;
    cancelAnimationFrame(awaited);
    if (ended && ended.box) change({ brush: brushOfBox(ended.box) });
    else hover(x, y, 24);
    announceCount();
  });
  over.addEventListener("pointercancel", () => {
    if (drag && drag.box) change({ brush: report.state.brush });
    drag = null;
  });
  over.addEventListener("dblclick", () => {
    if (report.state.point >= 0) togglePin(report.state.point);
  });
  over.addEventListener("keydown", (event) => planeKey(event));

  function hover(x, y, reach) {
    const row = renderer.pick(x, y, reach);
    if (row >= 0 && row !== report.state.point) change({ point: row });
  }

  function refresh(changed) {
    const all = !view || changed.has("look");
    if (all) makePoints();
    if (all || !view.width) size();
    if (all || changed.has("matching")) drawCloud();
    else if (changed.has("point") || changed.has("pins")) drawOver();
    planeNotes();
  }

  function redraw() {
    makePoints();
    size();
    drawCloud();
  }

  return {
    refresh, redraw, renderer, cloud, over, followsBrush: true, current: () => ({ points, view }),
  };
}

function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

function planeKey(event) {
  const steps = {
    ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 20, PageUp: -20,
  };
  if (event.key in steps) step(steps[event.key]);
  else if (event.key === "Home") step(-Infinity);
  else if (event.key === "End") step(Infinity);
  else if (event.key === "Enter" && report.state.point >= 0) togglePin(report.state.point);
  else if (event.key === "Escape") change({ brush: null });
  else return;
  event.preventDefault();
}

function planeNotes() {
  const bars = report.state.bars && report.order.length > BARS;
  byId("plane-note").textContent = bars
    ? `Error bars are drawn of the first ${BARS.toLocaleString("en")} points of the table.`
    : "";
}
