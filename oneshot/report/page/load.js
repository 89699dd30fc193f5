// What the page carries: compressed blocks inside it, or in files beside it when it is served.

function bytesOfText(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const parsedJson = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

async function inlineBlock(name) {
  const element = document.getElementById(`block-${name}`);
  return element ? unpacked(bytesOfText(element.textContent.trim())) : null;
}

class Column {
  constructor(encoded, count) {
    Object.assign(this, encoded);
    this.count = count;
    this.holdsTimes = encoded.type === "time";
  }

  // The value of a row: null, a number, a text, true, false, or a Date of a time.
  get(row) {
    let value;
    if (this.values) value = this.values[row];
    else value = this.codes ? this.levels[this.codes[row]] : this.const;
    return this.holdsTimes && value ? new Date(value) : value;
  }

  get isNumeric() {
    return this.type === "int" || this.type === "float";
  }

  // The values as numbers; what is none is NaN.
  numbers() {
    if (!this.asNumbers) {
      this.asNumbers = new Float64Array(this.count).fill(NaN);
      if (this.isNumeric) {
        for (let row = 0; row < this.count; row += 1) {
          const value = this.get(row);
          if (value !== null && value !== undefined) this.asNumbers[row] = value;
        }
      }
    }
    return this.asNumbers;
  }

  // The different values that are not empty, in order.
  different() {
    if (!this.asDifferent) {
      let values = this.levels || (this.values ? this.values : [this.const]);
      values = [...new Set(values)].filter((value) => value !== null && value !== undefined);
      this.asDifferent = values.sort(filterCompare);
    }
    return this.asDifferent;
  }
}

// Blocks by family (drawings, details) and number, each read once.
class Blocks {
  constructor(data) {
    this.data = data;
    this.kept = new Map();
    this.missing = new Set();
    this.served = Boolean(data.served) && location.protocol.startsWith("http");
    this.drawings = this.served ? data.served.drawings : data.drawings;
  }

  read(family, number) {
    const name = `${family}-${number}`;
    if (!this.kept.has(name)) {
      this.kept.set(name, this.fetch(name).catch(() => {
        this.missing.add(name);
        return null;
      }));
      // what is read point by point is not kept for ever
      if (this.kept.size > 64) this.kept.delete(this.kept.keys().next().value);
    }
    return this.kept.get(name);
  }

  async fetch(name) {
    if (!this.served) return inlineBlock(name);
    const answer = await fetch(this.data.served.files[name]);
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    return unpacked(new Uint8Array(await answer.arrayBuffer()));
  }

  sample(point) {
    return this.drawings.pointSample[point];
  }

  // Where the bytes of each sample of a chunk begin.
  offset(sample) {
    const { chunk, sampleKind } = this.drawings;
    let at = 0;
    for (let other = sample - (sample % chunk); other < sample; other += 1) {
      at += imageBytes(this.drawings.kinds[sampleKind[other]]);
    }
    return at;
  }

  // The drawings of a point: its kind and the pixels of all its images; null if there are none.
  async drawingsOf(point) {
    const sample = this.sample(point);
    if (sample === undefined || sample < 0) return null;
    const block = await this.read("drawings", Math.floor(sample / this.drawings.chunk));
    if (!block) return null;
    const kind = this.drawings.kinds[this.drawings.sampleKind[sample]];
    const start = this.offset(sample);
    return { kind, pixels: block.subarray(start, start + imageBytes(kind)) };
  }

  async exemplarsOf(kind) {
    if (kind.exemplars && !kind.exemplarPixels) {
      kind.exemplarPixels = await unpacked(bytesOfText(kind.exemplars));
    }
    return kind.exemplarPixels || null;
  }

  async detailsOf(point) {
    const chunk = this.data.details.chunk;
    const block = await this.read("details", Math.floor(point / chunk));
    if (!block) return {};
    if (!block.parsed) block.parsed = parsedJson(block);
    return block.parsed[point % chunk] || {};
  }
}

function imageBytes(kind) {
  const images = kind.counts.reduce((sum, count) => sum + count, 0);
  const values = images * kind.height * kind.width * kind.channels;
  return kind.bits === 1 ? Math.ceil(values / 8) : values;
}

// Paints image number `index` of some pixels into an ImageData at x, y, each pixel scale wide.
function paintImage(target, kind, pixels, index, x, y, scale, paper) {
  const size = kind.height * kind.width;
  const start = index * size * kind.channels;
  for (let row = 0; row < kind.height * scale; row += 1) {
    for (let column = 0; column < kind.width * scale; column += 1) {
      const pixel = Math.floor(row / scale) * kind.width + Math.floor(column / scale);
      const to = ((y + row) * target.width + x + column) * 4;
      for (let channel = 0; channel < 3; channel += 1) {
        target.data[to + channel] = pixelValue(kind, pixels, start, pixel, channel, paper);
      }
      target.data[to + 3] = 255;
    }
  }
}

function pixelValue(kind, pixels, start, pixel, channel, paper) {
  if (kind.bits === 1) {
    const at = start + pixel;
    return (pixels[at >> 3] >> (7 - (at & 7))) & 1 ? 16 : paper;
  }
  return pixels[start + pixel * kind.channels + (kind.channels === 1 ? 0 : channel)];
}
