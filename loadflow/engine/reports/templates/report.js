"use strict";
(function () {
  const values = JSON.parse(document.getElementById("pointer-values").textContent);
  const box = document.getElementById("pointer");
  const charts = Array.from(document.querySelectorAll("svg.chart")).filter((svg) => values.charts[svg.dataset.chart]);
  document.documentElement.classList.add("scripted");

  function hide() {
    box.hidden = true;
    for (const svg of charts) svg.querySelector(".cursor").setAttribute("x1", -9), svg.querySelector(".cursor").setAttribute("x2", -9);
  }

  function show(svg, event) {
    const area = svg.getBoundingClientRect();
    const x = ((event.clientX - area.left) / area.width) * svg.viewBox.baseVal.width;
    const share = (x - values.left) / (values.right - values.left);
    if (share < 0 || share > 1) return hide();
    const index = Math.min(Math.floor((share * values.end_s) / values.width_s), values.times.length - 1);
    for (const one of charts) {
      const cursor = one.querySelector(".cursor");
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
    }
    const chart = values.charts[svg.dataset.chart];
    box.replaceChildren(document.createTextNode(values.times[index]));
    chart.legend.forEach(([css, label], column) => {
      const line = document.createElement("div");
      const colour = document.createElement("b");
      line.className = css;
      line.append(colour, label + " " + chart.rows[index][column]);
      box.append(line);
    });
    box.hidden = false;
    const left = event.pageX + 16 + box.offsetWidth > window.scrollX + document.documentElement.clientWidth;
    box.style.left = (left ? event.pageX - 16 - box.offsetWidth : event.pageX + 16) + "px";
    box.style.top = event.pageY + 12 + "px";
  }

  for (const svg of charts) {
    svg.addEventListener("pointermove", (event) => show(svg, event));
    svg.addEventListener("pointerleave", hide);
  }

  function sortBy(table, column, head) {
    const falling = head.getAttribute("aria-sort") !== "descending" && (column > 1 || head.getAttribute("aria-sort") === "ascending");
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const body = table.tBodies[0];
    const key = (row) => {
      const cell = row.cells[column];
      return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
    };
    const rows = Array.from(body.rows, (row) => [key(row), row]);
    rows.sort(([a], [b]) => (typeof a === "number" ? a - b : a.localeCompare(b)) * (falling ? -1 : 1));
    body.append(...rows.map(([, row]) => row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sortBy(table, column, head));
      head.replaceChildren(button);
    });
  }
})();
