// The table of the matching points: sorted by its heads, a row has the focus of the point.

const ROWS = 200; // that are drawn at first, and more at a time

function tableView() {
  const table = byId("table");
  const columns = report.data.table.filter((name) => columnOf(name));
  let rows = ROWS;
  let body = null;

  function head() {
    const cells = columns.map((name) => {
      const column = columnOf(name);
      const button = make("button", { type: "button", title: column.text || undefined,
        click: () => sortBy(name) }, name);
      return make("th", { scope: "col", "data-column": name }, button);
    });
    body = make("tbody");
    replace(table, make("caption", { class: "hidden" }, "The matching points"),
      make("thead", {}, make("tr", {}, cells)), body);
  }

  function sortBy(name) {
    const again = report.state.sort === name;
    change({ sort: name, descending: again ? !report.state.descending : false });
    announce(`Sorted by ${name}, ${report.state.descending ? "largest" : "smallest"} first`);
  }

  function showSort() {
    for (const cell of table.querySelectorAll("th")) {
      if (cell.dataset.column === report.state.sort) {
        cell.setAttribute("aria-sort", report.state.descending ? "descending" : "ascending");
      } else cell.removeAttribute("aria-sort");
    }
  }

  function showRows() {
    const shown = report.order.slice(0, rows);
    replace(body, shown.map((row) => make("tr", { "data-row": row, tabindex: -1 },
      columns.map((name) => make("td", { class: columnOf(name).isNumeric ? "number" : undefined },
        shownValue(valueOf(name, row), name))))));
    const left = report.order.length - shown.length;
    byId("table-note").textContent = left > 0
      ? `${thousands(shown.length)} of ${shownCount(report.order.length, "row")} are shown.`
      : `${shownCount(shown.length, "row")}.`;
    byId("more-rows").hidden = left <= 0;
    markRow();
  }

  function markRow() {
    const before = body.querySelector("[aria-current]");
    if (before) {
      before.removeAttribute("aria-current");
      before.tabIndex = -1;
    }
    const now = body.querySelector(`[data-row="${report.state.point}"]`);
    if (now) {
      now.setAttribute("aria-current", "true");
      if (body.contains(document.activeElement)) now.focus();
    }
    const reached = now || body.firstElementChild;
    if (reached) reached.tabIndex = 0;
  }

  table.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (!row) return;
    row.focus();
    change({ point: Number(row.dataset.row) });
  });
  table.addEventListener("focusin", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (row && report.state.point < 0) change({ point: Number(row.dataset.row) });
  });
  table.addEventListener("keydown", (event) => {
    if (event.target.closest("tbody") && !["ArrowLeft", "ArrowRight"].includes(event.key)) {
      planeKey(event);
    }
  });
  byId("more-rows").addEventListener("click", () => {
    rows += ROWS;
    showRows();
  });

  head();
  return {
    refresh(changed) {
      if (changed.has("order") || changed.has("first")) {
        rows = ROWS;
        showRows();
        showSort();
      } else if (changed.has("point")) markRow();
    },
  };
}

function announceCount() {
  announce(countText());
}

function countText() {
  const { count } = report;
  const matching = matchingCount();
  return matching === count ? shownCount(count, "point")
    : `${matching.toLocaleString("en")} of ${shownCount(count, "point")} match`;
}

// The line of controls: colour, axes of the plane, filter, what is exported.
function controlsView() {
  const options = (element, names, chosen) => {
    replace(element, names.map((name) => make("option", { value: name }, name)));
    element.value = chosen;
  };
  const all = [...report.columns.values()];
  const varying = all.filter((column) => column.different().length > 1);
  const numbers = all.filter((column) => column.isNumeric && column.different().length > 0
    && ["metric", "axis", "cost", "setting", "count"].includes(column.group));
  const coloured = varying.filter((column) => column.isNumeric || column.different().length <= 60);
  options(byId("colour"), [...new Set([report.standard.colour, ...coloured.map((c) => c.name)])],
    report.state.colour);
  for (const axis of ["x", "y"]) {
    options(byId(axis), [...new Set([report.standard[axis], ...numbers.map((c) => c.name)])],
      report.state[axis]);
  }
  for (const name of ["colour", "x", "y"]) {
    byId(name).addEventListener("change", (event) => {
      change(name === "colour" ? { colour: event.target.value }
        : { [name]: event.target.value, brush: null });
    });
  }
  byId("bars").addEventListener("change", (event) => change({ bars: event.target.checked }));
  let timer = 0;
  byId("where").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      change({ where: event.target.value });
      if (!report.filterProblem) announceCount();
    }, 200);
  });
  byId("clear").addEventListener("click", () => change({ brush: null, where: "" }));
  return {
    followsBrush: true,
    refresh() {
      const { state } = report;
      for (const name of ["colour", "x", "y"]) byId(name).value = state[name];
      byId("bars").checked = state.bars;
      if (document.activeElement !== byId("where")) byId("where").value = state.where;
      byId("where").setAttribute("aria-invalid", String(Boolean(report.filterProblem)));
      byId("where-problem").textContent = report.filterProblem;
      byId("count").textContent = countText();
      byId("clear").disabled = !state.brush && !state.where;
    },
  };
}
