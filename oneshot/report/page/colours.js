// The colours of the figures: Okabe and Ito's for families, dark to light for ordered values.

const FAMILY_COLOURS = ["#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666"];
const ORDERED_COLOURS = [
  "#440154", "#433d84", "#355f8d", "#277e8e", "#1e9d89", "#35b779", "#69cd5b", "#a2da37",
];
// on dark paper the dark end would fade, and the light one need not
const ORDERED_ON_DARK = [
  "#7b6fd0", "#5d7fc4", "#3f8fb5", "#2ba0a4", "#2fb391", "#52c56f", "#8ed645", "#fde725",
];
const STEPS = 64; // colours of a scale

const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches && !report.printing;

const look = () => (isDark()
  ? {
    paper: "#15181c", ink: "#e8e8e8", grey: "#a6a6a6", pale: "#3a3f46", ring: "#4a5058",
    people: "#ff8a3d", edge: "", ordered: ORDERED_ON_DARK,
    families: ["#4aa8e0", "#2fc79b", "#e09cc0", "#f0b030", "#8accf0", "#a8a8a8"],
  }
  : {
    paper: "#ffffff", ink: "#000000", grey: "#595959", pale: "#d8d8d8", ring: "#c8c8c8",
    people: "#d55e00", edge: "#222222", ordered: ORDERED_COLOURS, families: FAMILY_COLOURS,
  });

function mixed(colours, share) {
  const at = Math.min(Math.max(share, 0), 1) * (colours.length - 1);
  const low = Math.min(Math.floor(at), colours.length - 2);
  const channel = (colour, from) => parseInt(colour.slice(from, from + 2), 16);
  const parts = [1, 3, 5].map((from) => {
    const [one, other] = [channel(colours[low], from), channel(colours[low + 1], from)];
    return Math.round(one + (other - one) * (at - low)).toString(16).padStart(2, "0");
  });
  return `#${parts.join("")}`;
}

// How a column becomes colours: { palette, codes: Uint8Array by row, legend: [[text, colour,
// shape]] or null, low, high, column }. Few ordered values are coloured by rank, many by value.
function colouring(name) {
  const column = columnOf(name);
  const { families, ordered, grey } = look();
  const codes = new Uint8Array(report.count);
  if (column && column.isNumeric) {
    const values = column.different();
    const numbers = column.numbers();
    const few = values.length > 0 && values.length <= ordered.length;
    const [low, high] = [values[0], values[values.length - 1]];
    const logarithmic = low > 0 && high > 100 * low;
    const share = (value) => {
      if (few) return values.length > 1 ? values.indexOf(value) / (values.length - 1) : 0.4;
      if (logarithmic) return Math.log(value / low) / Math.log(high / low);
      return (value - low) / (high - low);
    };
    for (let row = 0; row < report.count; row += 1) {
      const value = numbers[row];
      codes[row] = Number.isNaN(value) ? STEPS : Math.round(share(value) * (STEPS - 1));
    }
    const scale = Array.from({ length: STEPS }, (_, i) => mixed(ordered, i / (STEPS - 1)));
    const palette = [...scale, grey];
    const legend = few
      ? values.map((value) => [
        shownValue(value, name), palette[Math.round(share(value) * (STEPS - 1))], 0])
      : null;
    return { palette, codes, legend, low, high, logarithmic, scale, name };
  }
  const values = column ? column.different() : [];
  const place = new Map(values.map((value, i) => [value, i]));
  for (let row = 0; row < report.count; row += 1) {
    const at = place.get(column ? column.get(row) : null);
    codes[row] = at === undefined ? families.length : at % families.length;
  }
  const legend = values.filter((value) => !report.data.references.includes(value))
    .map((value) => [String(value), families[place.get(value) % families.length],
      shapeOfValue(place.get(value))]);
  return { palette: [...families, grey], codes, legend, name, ofTexts: true, place };
}

const shapeOfValue = (place) => (place + Math.floor(place / 6)) % 6;

// The shape of each row: of its text where texts are coloured, else of its family.
function shapesOf(scheme) {
  const column = scheme.ofTexts ? columnOf(scheme.name) : columnOf("model");
  const shapes = new Uint8Array(report.count);
  if (!column) return shapes;
  const models = column.different().filter((value) => !report.data.references.includes(value));
  const place = new Map(models.map((value, i) => [value, i]));
  if (scheme.ofTexts) for (const [value, at] of scheme.place) place.set(value, at);
  for (let row = 0; row < report.count; row += 1) {
    shapes[row] = shapeOfValue(place.get(column.get(row)) || 0);
  }
  return shapes;
}
