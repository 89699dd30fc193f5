// The renderer of points on a canvas: draw(points, view) and pick(x, y). Another renderer with
// these two could take its place.
//
// points: { count, x, y: Float64Array of values; colour: Uint8Array of numbers in view.palette;
//           shape: Uint8Array, see SHAPES; matching: Uint8Array; order: rows, those on top last }
// view:   { width, height: of the canvas in CSS pixels; ratio: device pixels of one; across, up:
//           { low, high, from, to } from values to CSS pixels; palette: colours as #rrggbb;
//           pale: the colour of what does not match; radius: of a dot }

const FEW_POINTS = 3000; // above which dots are squares written into the pixels themselves
const CELL = 16; // CSS pixels of a cell of the index that finds points
const SHAPES = 6;

const placeAt = (axis, value) =>
  axis.from + ((value - axis.low) / (axis.high - axis.low)) * (axis.to - axis.from);
const valueAt = (axis, place) =>
  axis.low + ((place - axis.from) / (axis.to - axis.from)) * (axis.high - axis.low);

function canvasRenderer(canvas) {
  const context = canvas.getContext("2d");
  let left = new Float32Array(0);
  let top = new Float32Array(0);
  let cells = new Map();
  let drawn = null;

  function locate(points, view) {
    if (left.length !== points.count) {
      left = new Float32Array(points.count);
      top = new Float32Array(points.count);
    }
    for (let i = 0; i < points.count; i += 1) {
      left[i] = placeAt(view.across, points.x[i]);
      top[i] = placeAt(view.up, points.y[i]);
    }
  }

  // Rows by cell of the canvas, made when first asked for after a change.
  function indexed() {
    if (cells) return cells;
    cells = new Map();
    for (let i = 0; i < drawn.points.count; i += 1) {
      if (Number.isNaN(left[i]) || Number.isNaN(top[i])) continue;
      const key = Math.floor(left[i] / CELL) * 65536 + Math.floor(top[i] / CELL);
      const cell = cells.get(key);
      if (cell) cell.push(i);
      else cells.set(key, [i]);
    }
    return cells;
  }

  function draw(points, view) {
    const moved = !drawn || drawn.points.x !== points.x || drawn.points.y !== points.y
      || JSON.stringify([drawn.view.across, drawn.view.up])
      !== JSON.stringify([view.across, view.up]);
    if (moved) {
      locate(points, view);
      cells = null;
    }
    drawn = { points, view };
    if (points.count <= FEW_POINTS) drawShapes(points, view);
    else drawSquares(points, view);
  }

  function drawShapes(points, view) {
    const edge = view.edge;
    for (const matching of [0, 1]) {
      for (const i of points.order) {
        if (points.matching[i] !== matching || Number.isNaN(left[i] + top[i])) continue;
        context.beginPath();
        shapePath(context, points.shape[i], left[i], top[i], view.radius);
        context.fillStyle = matching ? view.palette[points.colour[i]] : view.pale;
        context.fill();
        if (matching && edge) {
          context.strokeStyle = edge;
          context.lineWidth = 0.5;
          context.stroke();
        }
      }
    }
  }

  function drawSquares(points, view) {
    const { ratio } = view;
    const wide = canvas.width;
    const high = canvas.height;
    const image = context.getImageData(0, 0, wide, high);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = view.palette.map(pixelOf);
    const pale = pixelOf(view.pale);
    const half = Math.max(1, Math.round(view.radius * ratio * 0.8));
    for (const matching of [0, 1]) {
      for (let k = 0; k < points.order.length; k += 1) {
        const i = points.order[k];
        if (points.matching[i] !== matching) continue;
        const x = Math.round(left[i] * ratio);
        const y = Math.round(top[i] * ratio);
        // NaN fails every comparison
        if (!(x >= half && x < wide - half && y >= half && y < high - half)) continue;
        const colour = matching ? colours[points.colour[i]] : pale;
        for (let row = y - half; row < y + half; row += 1) {
          pixels.fill(colour, row * wide + x - half, row * wide + x + half);
        }
      }
    }
    context.putImageData(image, 0, 0);
  }

  // The point nearest to a place in CSS pixels, of those that match if one is near; -1 if none.
  function pick(x, y, reach = CELL) {
    if (!drawn) return -1;
    const { points } = drawn;
    let best = -1;
    let least = Infinity;
    const around = Math.ceil(reach / CELL);
    const [column, line] = [Math.floor(x / CELL), Math.floor(y / CELL)];
    for (let i = column - around; i <= column + around; i += 1) {
      for (let j = line - around; j <= line + around; j += 1) {
        for (const row of indexed().get(i * 65536 + j) || []) {
          const away = Math.hypot(left[row] - x, top[row] - y);
          const cost = away + (points.matching[row] ? 0 : 1000);
          if (away <= reach && cost <= least) {
            least = cost;
            best = row;
          }
        }
      }
    }
    return best;
  }

  const place = (row) => [left[row], top[row]];
  return { draw, pick, place };
}

// #rrggbb as a pixel of ImageData on machines whose lowest byte comes first, as all browsers' are.
function pixelOf(colour) {
  const value = parseInt(colour.slice(1), 16);
  const [red, green, blue] = [value >> 16, (value >> 8) & 255, value & 255];
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function shapePath(context, shape, x, y, radius) {
  const r = radius * 1.25;
  const polygons = {
    1: [[0, -r], [r, r * 0.8], [-r, r * 0.8]],
    2: [[0, -r * 1.15], [r * 1.15, 0], [0, r * 1.15], [-r * 1.15, 0]],
    3: [[0, r], [r, -r * 0.8], [-r, -r * 0.8]],
    4: [[-r * 0.4, -r], [r * 0.4, -r], [r * 0.4, -r * 0.4], [r, -r * 0.4], [r, r * 0.4],
      [r * 0.4, r * 0.4], [r * 0.4, r], [-r * 0.4, r], [-r * 0.4, r * 0.4], [-r, r * 0.4],
      [-r, -r * 0.4], [-r * 0.4, -r * 0.4]],
    5: [0, 1, 2, 3, 4, 5].map((i) => (i * Math.PI) / 3)
      .map((angle) => [r * Math.cos(angle), r * Math.sin(angle)]),
  };
  const corners = polygons[shape % SHAPES];
  if (!corners) {
    context.arc(x, y, radius, 0, 2 * Math.PI);
    return;
  }
  corners.forEach(([right, down], i) =>
    (i ? context.lineTo(x + right, y + down) : context.moveTo(x + right, y + down)));
  context.closePath();
}
