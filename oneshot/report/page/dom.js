// Elements are made here, and texts only ever become text.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  return fill(element, attributes, children);
}

function makeSvg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== null && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

const byId = (id) => document.getElementById(id);

function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null));
}

// A number as people read it; digits of a metric as in printed tables.
function shownValue(value, name = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "-";
  if (value instanceof Date) return value.toISOString().slice(0, 19).replace("T", " ") + " UTC";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const bare = name.replace(/^human_/, "").replace(/_(se|low|high)$/, "");
  const digits = report.data.decimals[bare];
  if (digits !== undefined) return value.toFixed(digits);
  return String(Number(value.toPrecision(6)));
}

const thousands = (count) => count.toLocaleString("en");
const shownCount = (count, noun) => `${thousands(count)} ${noun}${count === 1 ? "" : "s"}`;

function announce(text) {
  byId("live").textContent = text;
}

async function copyText(text, button) {
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { readonly: true, class: "hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    copied = document.execCommand("copy");
    area.remove();
  }
  announce(copied ? "Copied" : "Could not copy");
  if (button) {
    const label = button.textContent;
    button.textContent = copied ? "copied" : "not copied";
    setTimeout(() => { button.textContent = label; }, 1200);
  }
}

function download(name, blob) {
  const link = make("a", { download: name });
  link.href = URL.createObjectURL(blob);
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
