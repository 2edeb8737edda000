(function () {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const box = document.getElementById("pointer");
  const whole = [0, data.end_s];
  let shown = whole;
  let charts = []; // {svg, spec, plot}
  document.documentElement.classList.add("scripted");

  // -- charts over time

  function adopt(svg, spec) {
    const chart = { svg, spec, plot: null };
    charts.push(chart);
    svg.classList.add("timed");
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("pointerdown", (event) => startDrag(chart, event));
    svg.addEventListener("pointermove", (event) => move(chart, event));
    svg.addEventListener("pointerup", (event) => endDrag(chart, event));
    svg.addEventListener("pointercancel", () => (drag = null));
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("dblclick", () => zoom(whole));
    svg.addEventListener("keydown", keyed);
    chart.plot = draw(svg, spec, ...shown);
    return chart;
  }

  function zoom([from, to]) {
    const least = Math.min(data.end_s, 2 * data.width_s);
    if (to - from < least) [from, to] = [(from + to - least) / 2, (from + to + least) / 2];
    if (from < 0) [from, to] = [0, to - from];
    if (to > data.end_s) [from, to] = [Math.max(0, from - (to - data.end_s)), data.end_s];
    shown = [from, to];
    for (const chart of charts) chart.plot = draw(chart.svg, chart.spec, ...shown);
    const all = from === 0 && to === data.end_s;
    document.getElementById("show-all").hidden = all;
    document.getElementById("shown").textContent = all ? "" : `${text.clock(from)} – ${text.clock(to)}`;
    hide();
  }

  function keyed(event) {
    const [from, to] = shown;
    const quarter = (to - from) / 4;
    const by = { "+": [quarter, -quarter], "-": [-2 * quarter, 2 * quarter], ArrowLeft: [-quarter, -quarter], ArrowRight: [quarter, quarter] };
    if (event.key === "Escape") zoom(whole);
    else if (by[event.key]) zoom([from + by[event.key][0], to + by[event.key][1]]);
    else return;
    event.preventDefault();
  }

  let drag = null;

  function place(chart, event) {
    const area = chart.svg.getBoundingClientRect();
    const x = ((event.clientX - area.left) / area.width) * chart.svg.viewBox.baseVal.width;
    return { x, share: (x - chart.plot.left) / (chart.plot.right_x - chart.plot.left) };
  }

  function startDrag(chart, event) {
    const { x, share } = place(chart, event);
    if (event.button !== 0 || share < 0 || share > 1) return;
    drag = { chart, x, share };
    if (event.pointerType === "mouse") event.preventDefault();
    chart.svg.setPointerCapture(event.pointerId);
  }

  function endDrag(chart, event) {
    if (!drag || drag.chart !== chart) return;
    const shares = [drag.share, Math.min(Math.max(place(chart, event).share, 0), 1)].sort((a, b) => a - b);
    drag = null;
    const [from, to] = shown;
    if (shares[1] - shares[0] > 0.015) zoom(shares.map((share) => from + share * (to - from)));
    else chart.svg.querySelector(".selection").setAttribute("width", 0);
  }

  function move(chart, event) {
    if (drag && drag.chart === chart) {
      const x = Math.min(Math.max(place(chart, event).x, chart.plot.left), chart.plot.right_x);
      const selection = chart.svg.querySelector(".selection");
      selection.setAttribute("x", Math.min(x, drag.x));
      selection.setAttribute("width", Math.abs(x - drag.x));
    }
    show(chart, event);
  }

  function hide() {
    box.hidden = true;
    for (const { svg } of charts) {
      const cursor = svg.querySelector(".cursor");
      cursor.setAttribute("x1", -9);
      cursor.setAttribute("x2", -9);
    }
  }

  function show(chart, event) {
    const { svg, spec } = chart;
    const { share } = place(chart, event);
    if (share < 0 || share > 1) return hide();
    const moment = shown[0] + share * (shown[1] - shown[0]);
    const most = Math.max(...spec.layers.map((layer) => layer.values.length)) - 1;
    const index = Math.min(Math.floor(moment / spec.width_s), most);
    for (const other of charts) {
      const x = other.plot.left + share * (other.plot.right_x - other.plot.left);
      const cursor = other.svg.querySelector(".cursor");
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
    }
    const end = Math.min((index + 1) * spec.width_s, spec.end_s);
    box.replaceChildren(document.createTextNode(`${text.clock(index * spec.width_s)} – ${text.clock(end)}`));
    for (const layer of spec.layers) {
      const line = document.createElement("div");
      const value = layer.values[index];
      line.className = layer.css;
      line.append(document.createElement("b"), `${layer.label} ${value === null || value === undefined ? "–" : text[spec.kind](value)}`);
      box.append(line);
    }
    box.hidden = false;
    const left = event.pageX + 16 + box.offsetWidth > window.scrollX + document.documentElement.clientWidth;
    box.style.left = Math.max(0, left ? event.pageX - 16 - box.offsetWidth : event.pageX + 16) + "px";
    box.style.top = event.pageY + 12 + "px";
  }

  for (const svg of document.querySelectorAll("svg.chart")) {
    const spec = data.charts[svg.dataset.chart];
    if (spec) adopt(svg, { ...spec, marks: data.marks, width_s: data.width_s, end_s: data.end_s });
  }
  const showAll = document.getElementById("show-all");
  if (showAll) showAll.addEventListener("click", () => zoom(whole));

  // -- one name

  const panel = document.getElementById("one-name");
  let opener = null;

  function specsOf(curve) {
    const { width_s } = data.names;
    const length = (index) => Math.min((index + 1) * width_s, data.end_s) - index * width_s;
    const failed = (index) => curve.failed[index] || 0;
    const common = { marks: data.marks, width_s, end_s: data.end_s };
    const limits = (chart) => curve.limits.filter((limit) => limit.chart === chart);
    const layer = (label, css, values, area) => ({ label, css, values, area, step: false });
    return [
      {
        ...common, title: "Request rate", kind: "rate", y_title: "requests per second", limits: limits("rate"),
        layers: [
          layer("successes", "s-ok", curve.hits.map((hits, index) => (hits - failed(index)) / length(index)), true),
          layer("failures", "s-fail", curve.hits.map((_, index) => failed(index) / length(index)), true),
        ],
      },
      {
        ...common, title: "Response time percentiles", kind: "ms", y_title: "response time", limits: limits("latency"),
        layers: ["p50", "p95", "p99"].map((label, index) => layer(label, "s-" + label, curve.times_ms[index], false)),
      },
      {
        ...common, title: "Failures", kind: "share", y_title: "share of requests that failed", limits: limits("failures"),
        layers: [layer("failed", "s-fail", curve.hits.map((hits, index) => (hits ? failed(index) / hits : 0)), true)],
      },
    ];
  }

  function figureOf(spec) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const title = document.createElement("h4");
    const legend = document.createElement("ul");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    title.textContent = spec.title;
    legend.className = "legend";
    for (const { css, label } of [...spec.layers, ...(spec.limits.length ? [{ css: "s-limit", label: "limit" }] : [])]) {
      const entry = document.createElement("li");
      entry.className = css;
      entry.textContent = label;
      legend.append(entry);
    }
    svg.setAttribute("class", "chart");
    svg.setAttribute("viewBox", "0 0 560 230");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${spec.title} of ${panel.querySelector("h3").textContent} over time`);
    caption.append(title);
    figure.append(caption, legend, svg);
    panel.querySelector(".charts").append(figure);
    adopt(svg, spec);
  }

  function closeName() {
    charts = charts.filter(({ svg }) => !panel.contains(svg));
    panel.querySelector(".charts").replaceChildren();
    panel.hidden = true;
    if (opener) opener.setAttribute("aria-expanded", "false");
    opener = null;
  }

  function openName(button, number) {
    const again = button === opener;
    closeName();
    if (again) return;
    opener = button;
    button.setAttribute("aria-expanded", "true");
    const curve = data.names.curves[number];
    panel.querySelector("h3").textContent = curve.name;
    panel.hidden = false;
    for (const spec of specsOf(curve)) figureOf(spec);
    panel.scrollIntoView({ block: "nearest" });
  }

  for (const cell of document.querySelectorAll("th[data-curve]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "open";
    button.textContent = cell.textContent;
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", "one-name");
    button.addEventListener("click", () => openName(button, Number(cell.dataset.curve)));
    cell.replaceChildren(button);
  }
  if (panel) panel.querySelector("button").addEventListener("click", () => { const last = opener; closeName(); if (last) last.focus(); });

  // -- tables

  function sortBy(table, column, head) {
    const falling = head.getAttribute("aria-sort") !== "descending" && (column > 1 || head.getAttribute("aria-sort") === "ascending");
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const body = table.tBodies[0];
    const key = (row) => valueOf(row.cells[column]);
    const rows = Array.from(body.rows, (row) => [key(row), row]);
    rows.sort(([a], [b]) => (typeof a === "number" ? a - b : a.localeCompare(b)) * (falling ? -1 : 1));
    body.append(...rows.map(([, row]) => row));
  }

  const valueOf = (cell) => (cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v));

  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sortBy(table, column, head));
      head.replaceChildren(button);
    });
  }

  // -- files, made here of what is shown

  function namesShown() {
    const table = document.querySelector("table.sortable");
    if (!table) return { heads: [], rows: [] };
    const heads = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows, ...table.tFoot.rows].map((row) => Array.from(row.cells, valueOf));
    const units = { Min: "ms", Mean: "ms", p50: "ms", p90: "ms", p95: "ms", p99: "ms", "p99.9": "ms", Max: "ms", Received: "bytes", Sent: "bytes" };
    const unitOf = (head) => (head.startsWith("Service ") ? " ms" : head === "Failed %" ? " as a share" : units[head] ? " " + units[head] : "");
    return { heads: heads.map((head) => head + unitOf(head)), rows };
  }

  function secondsShown() {
    const layers = Object.entries(data.charts).flatMap(([name, chart]) => chart.layers.map((layer) => [`${name}: ${layer.label}`, layer.values]));
    const rows = [];
    data.times.forEach((_, index) => {
      const [start, end] = [index * data.width_s, Math.min((index + 1) * data.width_s, data.end_s)];
      if (end > shown[0] && start < shown[1]) rows.push([start, end, ...layers.map(([, values]) => (values[index] === undefined ? null : values[index]))]);
    });
    return { heads: ["from s", "to s", ...layers.map(([label]) => label)], rows };
  }

  function csv({ heads, rows }) {
    const cell = (value) => {
      let words = value === null ? "" : String(value);
      if (typeof value !== "number" && /^[=+\-@\t\r\n]/.test(words)) words = "'" + words; // a spreadsheet would take it for a formula
      return /[",\r\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
    };
    return [heads, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");
  }

  const objects = ({ heads, rows }) => rows.map((row) => Object.fromEntries(heads.map((head, index) => [head, row[index]])));
  const files = {
    "names.csv": () => ["text/csv", csv(namesShown())],
    "seconds.csv": () => ["text/csv", csv(secondsShown())],
    "report.json": () => ["application/json", JSON.stringify({ ...data.about, names: objects(namesShown()), seconds: objects(secondsShown()) }, null, 2)],
  };

  for (const button of document.querySelectorAll("button[data-file]"))
    button.addEventListener("click", () => {
      const [type, words] = files[button.dataset.file]();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([words], { type: type + ";charset=utf-8" }));
      link.download = button.dataset.file;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    });
})();
