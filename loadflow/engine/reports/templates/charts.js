"use strict";
const text = (function () {
  const three = (value) => (value >= 99.95 ? Math.round(value).toLocaleString("en-US") : value.toFixed(value >= 9.995 ? 1 : 2));
  const rate = (value) => (value >= 99.95 ? Math.round(value).toLocaleString("en-US") : value.toFixed(value >= 9.995 || value === 0 ? 1 : 2));
  const count = (value) => Math.round(value).toLocaleString("en-US");
  function ms(value) {
    if (value <= 0) return "0 ms";
    if (value < 0.9995) return three(value * 1000) + " µs";
    return value < 999.5 ? three(value) + " ms" : three(value / 1000) + " s";
  }
  function share(value) {
    if (value === 0 || value === 1) return value * 100 + " %";
    if (value < 0.0001) return "< 0.01 %";
    if (value > 0.9999) return "> 99.99 %";
    return (value * 100).toFixed(value >= 0.1 && value < 0.999 ? 1 : 2) + " %";
  }
  function clock(seconds) {
    const whole = Math.floor(seconds);
    const pad = (number) => String(number).padStart(2, "0");
    const [hour, minute, second] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return hour ? `${hour}:${pad(minute)}:${pad(second)}` : `${minute}:${pad(second)}`;
  }
  const plain = (value) => String(Number(value.toPrecision(4)));
  const axis = {
    rate: (value) => (Number.isInteger(value) ? count(value) : plain(value)),
    count,
    share: (value) => Number((value * 100).toPrecision(3)) + " %",
    ms: (value) => (value >= 1000 ? plain(value / 1000) + " s" : value >= 1 || value === 0 ? plain(value) + " ms" : plain(value * 1000) + " µs"),
  };
  axis.number = plain;
  return { rate, count, ms, share, number: plain, clock, axis };
})();

const draw = (function () {
  const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  const LOG_FROM_RATIO = 40;
  const LIMIT_ROOM = 2.5;
  const PLOT = { left: 58, right: 24, top: 24, bottom: 40 };

  function make(name, attributes, words) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (words !== undefined) element.textContent = words;
    return element;
  }

  function linear(highest, kind) {
    highest = highest > 0 ? highest : 1;
    const rough = highest / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999999);
    if (kind === "count") step = Math.max(1, Math.ceil(step));
    const number = Math.ceil(highest / step - 1e-9);
    const ticks = Array.from({ length: number + 1 }, (_, index) => Number((index * step).toPrecision(12)));
    return { share: (value) => value / (step * number), ticks };
  }

  function logarithmic(lowest, highest) {
    const [low, high] = [Math.log10(lowest / 1.1), Math.log10(highest * 1.1)];
    const factors = high - low > 4 ? [1] : high - low > 2.5 ? [1, 3] : [1, 2, 5];
    const ticks = [];
    for (let power = Math.floor(low); power <= Math.ceil(high); power++)
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (Math.log10(value) >= low && Math.log10(value) <= high) ticks.push(value);
      }
    return { share: (value) => (Math.max(Math.log10(Math.max(value, 1e-9)), low) - low) / (high - low), ticks };
  }

  function scaleOf(spec, first, last) {
    const sums = new Array(last - first).fill(0);
    const known = [];
    for (const layer of spec.layers)
      for (let index = first; index < last; index++) {
        const value = layer.values[index];
        if (value === null || value === undefined) continue;
        if (layer.area) sums[index - first] += value;
        else known.push(value);
      }
    let highest = Math.max(0, ...sums, ...known);
    if (spec.kind === "share") highest = Math.max(highest, 0.01);
    const room = highest * LIMIT_ROOM;
    const limits = spec.limits.filter((limit) => limit.value <= room);
    const top = Math.max(highest, ...limits.map((limit) => limit.value));
    const lowest = Math.max(0.001, Math.min(...known, ...limits.map((limit) => limit.value)));
    const useLog = spec.kind === "ms" && top / lowest > LOG_FROM_RATIO && known.length;
    const scale = useLog ? logarithmic(lowest, top) : linear(spec.kind === "share" ? Math.min(1, top) : top, spec.kind);
    return { ...scale, limits, title: spec.kind === "ms" ? "response time" + (useLog ? ", logarithmic" : "") : spec.y_title };
  }

  // spec: {kind, y_title, layers: [{label, css, area, step, values}], limits, marks, width_s, end_s}; from and to in seconds
  return function (svg, spec, from, to) {
    const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
    const plot = { ...PLOT, right_x: width - (width > 1000 ? 30 : PLOT.right), bottom_y: height - PLOT.bottom };
    const x = (moment) => Number((plot.left + ((moment - from) / (to - from)) * (plot.right_x - plot.left)).toFixed(1));
    const first = Math.max(0, Math.floor(from / spec.width_s));
    const last = Math.min(Math.ceil(to / spec.width_s), Math.max(0, ...spec.layers.map((layer) => layer.values.length)));
    const scale = scaleOf(spec, first, last);
    const y = (value) => Number((plot.bottom_y - Math.min(scale.share(value), 1) * (plot.bottom_y - plot.top)).toFixed(1));
    const inside = (value) => Math.min(Math.max(value, plot.left), plot.right_x);
    const spans = [];
    for (let index = first; index < last; index++)
      spans.push([inside(x(index * spec.width_s)), inside(x(Math.min((index + 1) * spec.width_s, spec.end_s)))]);
    const parts = [];
    const add = (name, attributes, words) => parts.push(make(name, attributes, words));

    for (const value of scale.ticks) {
      add("line", { class: "grid", x1: plot.left, x2: plot.right_x, y1: y(value), y2: y(value) });
      add("text", { class: "tick", "text-anchor": "end", x: plot.left - 8, y: y(value) + 4 }, text.axis[spec.kind](value));
    }
    const step = STEPS_S.find((one) => (to - from) / one <= 8) || 86400 * Math.ceil((to - from) / 86400 / 8);
    for (let moment = Math.ceil(from / step) * step; moment <= to; moment += step) {
      add("line", { class: "axis", x1: x(moment), x2: x(moment), y1: plot.bottom_y, y2: plot.bottom_y + 4 });
      add("text", { class: "tick", "text-anchor": "middle", x: x(moment), y: plot.bottom_y + 17 }, text.clock(moment));
    }
    add("line", { class: "axis", x1: plot.left, x2: plot.right_x, y1: plot.bottom_y, y2: plot.bottom_y });
    const unit = `time since the start (${to >= 3600 ? "h:mm:ss" : "min:s"})`;
    add("text", { class: "unit", "text-anchor": "end", x: plot.right_x, y: height - 6 }, unit);
    add("text", { class: "unit", x: 4, y: 12 }, scale.title);

    let base = spans.map(() => 0);
    for (const layer of spec.layers) {
      const values = layer.values.slice(first, last);
      if (layer.area) {
        const tops = base.map((low, index) => low + (values[index] || 0));
        if (values.some(Boolean)) {
          const there = spans.map(([left, right], index) => `${left},${y(tops[index])} ${right},${y(tops[index])}`);
          const back = spans.map(([left, right], index) => `${right},${y(base[index])} ${left},${y(base[index])}`).reverse();
          add("path", { class: "fill " + layer.css, d: `M${there.join(" ")} ${back.join(" ")}Z` });
        }
        base = tops;
        continue;
      }
      let piece = [];
      const end = () => {
        if (piece.length === 1) {
          const [cx, cy] = piece[0].split(",");
          add("circle", { class: "dot " + layer.css, cx, cy, r: 3 });
        } else if (piece.length) add("path", { class: "line " + layer.css, d: "M" + piece.join(" ") });
        piece = [];
      };
      values.forEach((value, index) => {
        if (value === null) return end();
        const [left, right] = spans[index];
        if (layer.step) piece.push(`${left},${y(value)}`, `${right},${y(value)}`);
        else piece.push(`${((left + right) / 2).toFixed(1)},${y(value)}`);
      });
      end();
    }
    for (const limit of scale.limits) {
      const [start, stop] = limit.window || [0, spec.end_s];
      if (start >= to || stop <= from) continue;
      const right = inside(x(stop));
      add("line", { class: "limit", x1: inside(x(start)), x2: right, y1: y(limit.value), y2: y(limit.value) });
      add("text", { class: "limit-label", "text-anchor": "end", x: right - 4, y: y(limit.value) - 4 }, limit.label);
    }
    for (const [moment, label] of spec.marks || []) {
      if (moment < from || moment >= to) continue;
      add("line", { class: "mark", x1: x(moment), x2: x(moment), y1: plot.top, y2: plot.bottom_y });
      add("text", { class: "mark-label", x: x(moment) + 4, y: plot.top + 10 }, label);
    }
    add("rect", { class: "selection", x: -9, y: plot.top, width: 0, height: plot.bottom_y - plot.top });
    add("line", { class: "cursor", x1: -9, x2: -9, y1: plot.top, y2: plot.bottom_y });
    svg.replaceChildren(...parts);
    return plot;
  };
})();
