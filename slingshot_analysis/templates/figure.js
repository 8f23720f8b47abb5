// The figure of a run: panels of uPlot above one another that share the step axis, and the events marked in them.
"use strict";

const PENS = {
  ink: { color: "--ink", width: 1.4 },
  accent: { color: "--accent", width: 1.4 },
  quiet: { color: "--quiet", width: 0.8 },
  "ink dashed": { color: "--ink", width: 1.4, dash: [5, 3] },
  "accent dashed": { color: "--accent", width: 1.4, dash: [5, 3] },
};
const MARKS = {
  slingshot: { color: "--accent", width: 1.2 },
  "not finite": { color: "--ink", width: 2 },
  spike: { color: "--accent", width: 1, dash: [2, 3] },
  jump: { color: "--ink", width: 1, dash: [1, 3] },
  milestone: { color: "--quiet", width: 1, dash: [6, 4] },
  peak: { color: "--faint", width: 1 },
};
const PHASES = { growth: "--growth", decay: "--decay" };
const HEIGHTS = { norm: 170, loss: 190 };
const HEIGHT = 120;
const LEFT = 58;
const LABEL_HEIGHT = 17;
const ROWS_AROUND = 64;

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function bytes(text) {
  const raw = atob(text);
  const found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
  return found.buffer;
}

function unpackSteps(packed) {
  const kinds = { uint16: Uint16Array, uint32: Uint32Array, float64: Float64Array };
  const numbers = new kinds[packed.type](bytes(packed.data));
  if (packed.type === "float64") return Array.from(numbers);
  const steps = [packed.first];
  for (const gap of numbers) steps.push(steps[steps.length - 1] + gap);
  return steps;
}

// A place without a row becomes undefined, across which a curve is drawn; one without a finite value becomes a gap.
function unpackValues(text, zero) {
  return Array.from(new Float32Array(bytes(text)), (value) => {
    if (Number.isNaN(value)) return undefined;
    if (!Number.isFinite(value) || (zero && value < 0)) return null;
    return zero && value === 0 ? zero : value;
  });
}

// On a logarithmic axis, zeros stand on a line of their own, one decade below the smallest positive value.
function zeroLine(texts) {
  let least = Infinity;
  let zeros = false;
  for (const text of texts) {
    for (const value of new Float32Array(bytes(text))) {
      if (value === 0) zeros = true;
      else if (value > 0 && value < least) least = value;
    }
  }
  if (!Number.isFinite(least)) least = 1;
  return { at: 10 ** (Math.floor(Math.log10(least)) - 1), zeros };
}

function stepWords(step) {
  if (Math.abs(step) >= 1e15) return step.toExponential(2);
  return step.toLocaleString("en", { maximumFractionDigits: Number.isInteger(step) ? 0 : 4 });
}

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function valueWords(value, scale) {
  if (value === 0) return "0";
  if (scale === "share") return `${(100 * value).toFixed(1)}%`;
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    const [factor, power] = value.toExponential(1).split("e");
    const raised = power.replace("+", "").replace("-", "⁻").replace(/\d/g, (digit) => SUPERSCRIPTS[digit]);
    return factor === "1.0" ? `10${raised}` : `${factor}·10${raised}`;
  }
  return value.toLocaleString("en", { maximumSignificantDigits: 4 });
}

// The last place of a sorted array whose number is not above another; -1 if there is none.
function lastUpTo(sorted, number) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= number) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function niceTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / size) * size; tick <= high; tick += size) ticks.push(Number(tick.toPrecision(12)));
  return ticks;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

class Panel {
  constructor(figure, data, axes) {
    this.figure = figure;
    this.data = data;
    const log = data.scale === "log";
    const { at, zeros } = log ? zeroLine(data.curves.map((curve) => curve.value)) : { at: 0, zeros: false };
    this.zero = zeros ? at : 0;
    this.floor = at;
    const tables = data.curves.map((curve) => [axes[curve.axis], unpackValues(curve.value, log ? at : 0)]);
    const shared = data.curves.every((curve) => curve.axis === data.curves[0].axis);
    this.columns = shared ? [tables[0][0], ...tables.map((table) => table[1])] : uPlot.join(tables);
    this.element = element("div", { class: "panel", role: "group", "aria-label": this.summary() });
    const unit = data.unit ? element("span", { class: "unit" }, data.unit) : "";
    this.plotElement = element("div", { class: "plot" });
    this.labels = element("div", { class: "labels" });
    this.element.append(element("h4", {}, data.title, " ", unit), this.plotElement, this.labels);
    this.buttons = data.curves.map((curve, i) => this.label(curve, i));
    this.labels.append(...this.buttons);
  }

  summary() {
    const names = this.data.curves.map((curve) => curve.label).join(", ");
    return `${this.data.title}${this.data.unit ? `, ${this.data.unit}` : ""}: ${names}`;
  }

  label(curve, i) {
    const button = element(
      "button",
      { type: "button", class: `label ${curve.pen}`, "aria-pressed": "true", "data-curve": curve.label },
      element("span", { class: "swatch", "aria-hidden": "true" }), curve.label, " ", element("span", { class: "value" }),
    );
    button.title = `Show or hide ${curve.label}`;
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      this.plot.setSeries(i + 1, { show: shown });
    });
    return button;
  }

  draw(width) {
    const height = HEIGHTS[this.data.name] || HEIGHT;
    this.plot = new uPlot(
      {
        width,
        height,
        padding: [6, 0, 2, 0],
        legend: { show: false },
        cursor: {
          sync: { key: this.figure.key },
          drag: { x: true, y: false, setScale: false },
          y: false,
          points: { size: 6 },
          bind: { dblclick: () => () => this.figure.show(...this.figure.whole) },
        },
        scales: { x: { time: false, auto: false }, y: this.scale() },
        axes: [{ show: false }, this.axis()],
        series: [{}, ...this.data.curves.map((curve) => this.series(curve))],
        hooks: {
          drawClear: [(plot) => this.shade(plot)],
          draw: [(plot) => this.mark(plot)],
          setSelect: [(plot) => this.selected(plot)],
          setCursor: [(plot) => this.figure.pointed(plot)],
        },
      },
      this.columns,
      this.plotElement,
    );
  }

  scale() {
    if (this.data.scale === "share") return { range: [-0.02, 1.02] };
    if (this.data.scale === "log") {
      return {
        distr: 3,
        range: (_, low, high) => {
          if (low == null || high == null) return [this.floor, this.floor * 100];
          return low === high ? [low / 3, high * 3] : [low / 1.4, high * 1.4];
        },
      };
    }
    return {
      range: (_, low, high) => {
        if (low == null || high == null) return [0, 1];
        const room = 0.08 * (high - low || Math.abs(high) || 1);
        return [low - room, high + room];
      },
    };
  }

  axis() {
    const common = {
      size: LEFT,
      gap: 6,
      font: "12px system-ui, sans-serif",
      stroke: () => color("--soft"),
      grid: { stroke: () => color("--rule"), width: 1 },
      ticks: { show: false },
    };
    if (this.data.scale === "share") {
      return { ...common, splits: () => [0, 0.5, 1], values: (_, ticks) => ticks.map((tick) => `${100 * tick}%`) };
    }
    if (this.data.scale === "linear") {
      return { ...common, space: 32, values: (_, ticks) => ticks.map((tick) => valueWords(tick)) };
    }
    return {
      ...common,
      splits: (_, __, low, high) => this.logTicks(low, high),
      filter: (_, ticks) => ticks,
      values: (_, ticks) => ticks.map((tick) => (tick === this.zero ? "0" : valueWords(tick))),
    };
  }

  // Ticks of a logarithmic axis: powers of ten, or of a short one 1, 2 and 5, or else round numbers.
  logTicks(low, high) {
    const bottom = Math.max(low, this.zero * 5);
    const powers = [];
    for (let power = Math.floor(Math.log10(bottom)); power <= Math.log10(high); power++) powers.push(10 ** power);
    const inside = (ticks) => ticks.filter((tick) => tick >= bottom * (1 - 1e-9) && tick <= high * (1 + 1e-9));
    const decades = inside(powers);
    const stride = Math.ceil(decades.length / 5);
    let ticks = decades.filter((_, i) => i % stride === 0);
    if (ticks.length < 3) ticks = inside(powers.flatMap((power) => [power, 2 * power, 5 * power]));
    if (ticks.length < 2) ticks = inside(niceTicks(low, high, 3)).filter((tick) => tick > 0);
    return this.zero && low <= this.zero ? [this.zero, ...ticks] : ticks;
  }

  series(curve) {
    const pen = PENS[curve.pen];
    return { stroke: () => color(pen.color), width: pen.width, dash: pen.dash, points: { size: 5, fill: () => color("--paper") } };
  }

  shade(plot) {
    const { ctx, bbox } = plot;
    const [low, high] = this.figure.view;
    if (this.zero && plot.scales.y.min <= this.zero) {
      const top = plot.valToPos(this.zero * 2, "y", true);
      ctx.fillStyle = color("--zero");
      ctx.fillRect(bbox.left, top, bbox.width, bbox.top + bbox.height - top);
    }
    if (this.data.name !== "norm") return;
    ctx.save();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    for (const [kind, start, end] of this.figure.data.phases) {
      if (end < low || start > high) continue;
      const left = Math.max(plot.valToPos(start, "x", true), bbox.left);
      const right = Math.min(plot.valToPos(end, "x", true), bbox.left + bbox.width);
      if (PHASES[kind]) {
        ctx.fillStyle = color(PHASES[kind]);
        ctx.fillRect(left, bbox.top, right - left, bbox.height);
      }
      if (right - left > ctx.measureText(kind).width + 12 * devicePixelRatio) {
        ctx.fillStyle = color("--soft");
        ctx.fillText(kind, left + 5 * devicePixelRatio, bbox.top + 3 * devicePixelRatio);
      }
    }
    ctx.restore();
  }

  mark(plot) {
    const { ctx, bbox } = plot;
    const [low, high] = this.figure.view;
    ctx.save();
    this.figure.data.events.forEach((event, i) => {
      if (event.step < low || event.step > high) return;
      const pen = MARKS[event.kind];
      const chosen = i === this.figure.chosen;
      const x = Math.round(plot.valToPos(event.step, "x", true));
      const tall = chosen || event.kind !== "peak";
      ctx.beginPath();
      ctx.strokeStyle = color(pen.color);
      ctx.lineWidth = (chosen ? 2.5 : pen.width) * devicePixelRatio;
      ctx.setLineDash((pen.dash || []).map((part) => part * devicePixelRatio));
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + (tall ? bbox.height : 8 * devicePixelRatio));
      ctx.stroke();
    });
    ctx.restore();
  }

  selected(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const range = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.figure.show(...range);
  }

  // Label each curve at the height of its last value in view, and never two at the same place.
  placeLabels() {
    const { plot } = this;
    const wanted = this.buttons.map((button, i) => ({ button, top: this.endOf(i + 1) ?? plot.height / 2 }));
    wanted.sort((a, b) => a.top - b.top);
    const last = plot.height - LABEL_HEIGHT;
    wanted.forEach((label, i) => {
      label.top = Math.max(0, label.top - LABEL_HEIGHT / 2, i ? wanted[i - 1].top + LABEL_HEIGHT : 0);
    });
    for (let i = wanted.length - 1; i >= 0; i--) {
      wanted[i].top = Math.min(wanted[i].top, i + 1 < wanted.length ? wanted[i + 1].top - LABEL_HEIGHT : last);
      wanted[i].button.style.setProperty("--top", `${wanted[i].top}px`);
    }
  }

  // The height at which a curve leaves the view, or ends in it.
  endOf(column) {
    const [steps, values] = [this.columns[0], this.columns[column]];
    const high = this.figure.view[1];
    const at = lastUpTo(steps, high);
    let before = at;
    while (before >= 0 && values[before] == null) before--;
    if (before < 0) return null;
    let after = at + 1;
    while (after < steps.length && values[after] == null) after++;
    const top = this.plot.valToPos(values[before], "y");
    if (after === steps.length) return top;
    const share = (high - steps[before]) / (steps[after] - steps[before]);
    return top + share * (this.plot.valToPos(values[after], "y") - top);
  }

  // Say beside each label the last value up to a step, or none.
  read(step) {
    this.buttons.forEach((button, i) => {
      let at = step === null ? -1 : lastUpTo(this.columns[0], step);
      while (at > 0 && this.columns[i + 1][at] == null) at--;
      const value = this.columns[i + 1][at];
      const words = value == null ? "" : valueWords(this.zero && value === this.zero ? 0 : value, this.data.scale);
      button.lastElementChild.textContent = words;
    });
  }
}
