// Zoom and events of the figure of a run: by wheel, by dragging, by two fingers, by buttons and by keys.
"use strict";

const FLAG_WIDTH = 24;
const FEWEST_ROWS = 8;
const TICK_ROOM = 30; // half of the width of a tick's words

const rounded = (step) => Math.round(step * 1e4) / 1e4;

class RunFigure {
  constructor(root, data, onEvent) {
    this.root = root;
    this.data = data;
    this.onEvent = onEvent;
    this.key = root.id;
    this.axes = data.axes.map(unpackSteps);
    this.finest = this.axes.reduce((a, b) => (b.length > a.length ? b : a), []);
    this.whole = data.steps;
    this.view = [...data.steps];
    this.narrowest = FEWEST_ROWS * this.smallestGap();
    this.chosen = null;
    this.fingers = new Map();
    this.build();
    this.panels = data.panels.map((panel) => new Panel(this, panel, this.axes));
    this.stack.append(...this.panels.map((panel) => panel.element));
    for (const panel of this.panels) panel.draw(this.plotWidth());
    this.show(...this.whole);
    this.listen();
  }

  smallestGap() {
    let least = this.whole[1] - this.whole[0];
    for (let i = 1; i < this.finest.length; i++) least = Math.min(least, this.finest[i] - this.finest[i - 1]);
    return least;
  }

  build() {
    const button = (words, name, act) => {
      const made = element("button", { type: "button", "aria-label": name, title: name }, words);
      made.addEventListener("click", act);
      return made;
    };
    this.status = element("p", { class: "status", role: "status" });
    this.pointer = element("span", { class: "pointer", "aria-hidden": "true" });
    this.flags = element("div", { class: "flags", role: "group", "aria-label": "Events in view" });
    this.ticks = element("div", { class: "ticks", "aria-hidden": "true" });
    this.overview = element("div", { class: "overview", "aria-hidden": "true" }, element("div"));
    const tools = element(
      "div", { class: "tools" },
      button("Whole run", "Show the whole run", () => this.show(...this.whole)),
      button("−", "Zoom out", () => this.zoom(2)),
      button("+", "Zoom in", () => this.zoom(0.5)),
      ...(this.data.events.length
        ? [
            button("◀ event", "Previous event", () => this.next(-1)),
            button("event ▶", "Next event", () => this.next(1)),
          ]
        : []),
      this.status, this.pointer,
    );
    this.stack = element("div", { class: "stack" });
    this.root.append(element("div", { class: "rail" }, tools, this.flags, this.ticks, this.overview), this.stack);
  }

  listen() {
    this.root.addEventListener("keydown", (event) => this.keyed(event));
    this.stack.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.stack.addEventListener("pointerdown", (event) => {
      this.root.focus({ preventScroll: true });
      if (event.pointerType === "touch") this.fingers.set(event.pointerId, event.clientX);
    });
    this.stack.addEventListener("pointermove", (event) => this.pinched(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.stack.addEventListener(end, (event) => this.fingers.delete(event.pointerId));
    }
    new ResizeObserver(() => this.resize()).observe(this.root);
  }

  plotWidth() {
    const margin = parseFloat(getComputedStyle(this.root).getPropertyValue("--label-room")) || 0;
    return Math.max(200, this.root.clientWidth - margin);
  }

  resize() {
    const width = this.plotWidth();
    if (!this.root.clientWidth || width === this.panels[0]?.plot.width) return;
    for (const panel of this.panels) panel.plot.setSize({ width, height: panel.plot.height });
    this.draw();
  }

  redraw() {
    for (const panel of this.panels) panel.plot.redraw(false, true);
  }

  // Show the steps from low to high, as far as they are in the run.
  show(low, high) {
    const [first, last] = this.whole;
    const width = Math.min(Math.max(high - low, this.narrowest), last - first);
    low = Math.max(first, Math.min((low + high - width) / 2, last - width));
    this.view = [low, low + width];
    this.waiting ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.waiting = 0;
    const [min, max] = this.view;
    for (const panel of this.panels) panel.plot.setScale("x", { min, max });
    queueMicrotask(() => this.panels.forEach((panel) => panel.placeLabels())); // after uPlot's own
    this.placeFlags();
    this.placeTicks();
    const all = min === this.whole[0] && max === this.whole[1];
    const words = `${this.data.step_words} ${stepWords(rounded(min))} to ${stepWords(rounded(max))}`;
    this.status.textContent = all ? `whole run, ${words}` : words;
    this.root.dataset.view = `${min} ${max}`;
  }

  zoom(factor, at = (this.view[0] + this.view[1]) / 2) {
    const [low, high] = this.view;
    this.show(at - factor * (at - low), at + factor * (high - at));
  }

  pan(share) {
    const by = share * (this.view[1] - this.view[0]);
    this.show(this.view[0] + by, this.view[1] + by);
  }

  wheeled(event) {
    const active = event.ctrlKey || this.root.contains(document.activeElement);
    if (!active) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return this.pan(event.deltaX / 600);
    const { plot } = this.panels[0];
    const x = event.clientX - plot.over.getBoundingClientRect().left;
    this.zoom(1.0015 ** event.deltaY, plot.posToVal(Math.max(0, Math.min(x, plot.over.clientWidth)), "x"));
  }

  // Keep under two fingers the steps that were there.
  pinched(event) {
    if (!this.fingers.has(event.pointerId)) return;
    const before = [...this.fingers.values()];
    this.fingers.set(event.pointerId, event.clientX);
    const after = [...this.fingers.values()];
    if (after.length !== 2 || (after[1] - after[0]) * (before[1] - before[0]) <= 0) return;
    const [low, high] = this.view;
    const { left, width } = this.panels[0].plot.over.getBoundingClientRect();
    const [one, two] = before.map((x) => low + ((x - left) / width) * (high - low));
    const perPixel = (two - one) / (after[1] - after[0]);
    const start = one - (after[0] - left) * perPixel;
    this.show(start, start + width * perPixel);
  }

  keyed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      ArrowLeft: () => this.pan(-0.25),
      ArrowRight: () => this.pan(0.25),
      Home: () => this.show(...this.whole),
      Escape: () => this.show(...this.whole),
      n: () => this.next(1),
      p: () => this.next(-1),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  next(direction) {
    const { events } = this.data;
    if (!events.length) return;
    const from = this.chosen === null ? (direction > 0 ? -1 : events.length) : this.chosen;
    this.choose((from + direction + events.length) % events.length);
  }

  // Zoom to an event: the rows around it that are kept one by one.
  choose(number) {
    this.chosen = number;
    const { step } = this.data.events[number];
    const row = Math.max(0, lastUpTo(this.finest, step));
    const low = this.finest[Math.max(0, row - ROWS_AROUND)];
    const high = this.finest[Math.min(this.finest.length - 1, row + ROWS_AROUND)];
    const reach = Math.max(step - low, high - step);
    this.show(step - reach, step + reach);
    this.onEvent(number);
  }

  // Where a step stands, in pixels from the left edge of the figure.
  placeOf(step) {
    const [low, high] = this.view;
    return LEFT + ((step - low) / (high - low)) * (this.plotWidth() - LEFT);
  }

  // Number the events in view; where they are too close, the most important ones.
  placeFlags() {
    const [low, high] = this.view;
    const inView = this.data.events.map((event, i) => ({ ...event, i })).filter((event) => event.step >= low && event.step <= high);
    const placed = [];
    for (const event of [...inView].sort((a, b) => b.weight - a.weight || a.step - b.step)) {
      const x = this.placeOf(event.step);
      if (placed.every((other) => Math.abs(other.x - x) >= FLAG_WIDTH)) placed.push({ ...event, x });
    }
    placed.sort((a, b) => a.x - b.x);
    const focused = this.flags.contains(document.activeElement) ? document.activeElement.dataset.event : null;
    this.flags.replaceChildren(...placed.map((event) => this.flag(event)));
    this.flags.dataset.hidden = inView.length - placed.length;
    if (focused !== null) this.flags.querySelector(`[data-event="${focused}"]`)?.focus({ preventScroll: true });
  }

  flag(event) {
    const flag = element("button", { type: "button", class: `flag ${event.kind}`, "data-event": event.i }, String(event.i + 1));
    flag.setAttribute("aria-label", `Event ${event.i + 1}: ${event.what} at ${stepWords(event.step)}`);
    flag.title = `${event.what} at ${stepWords(event.step)}`;
    if (event.i === this.chosen) flag.setAttribute("aria-current", "true");
    flag.style.left = `${event.x}px`;
    flag.addEventListener("click", () => {
      this.choose(event.i);
      this.onEvent(event.i, true);
    });
    return flag;
  }

  placeTicks() {
    const [low, high] = this.view;
    const most = Math.max(3, Math.floor((this.plotWidth() - LEFT) / 110));
    this.ticks.replaceChildren(...niceTicks(low, high, most).map((tick) => {
      const made = element("span", {}, stepWords(tick));
      const place = this.placeOf(tick);
      made.style.left = `${place}px`;
      made.classList.toggle("last", place > this.root.clientWidth - TICK_ROOM);
      return made;
    }));
    const [first, last] = this.whole;
    const thumb = this.overview.firstElementChild.style;
    thumb.left = `${(100 * (low - first)) / (last - first)}%`;
    thumb.width = `${(100 * (high - low)) / (last - first)}%`;
  }

  // Say beside each label which value its curve has at the pointer.
  pointed(plot) {
    const step = plot.cursor.idx == null ? null : plot.data[0][plot.cursor.idx];
    if (plot !== this.panels.find((panel) => panel.plot.over.matches(":hover"))?.plot && step !== null) return;
    this.pointer.textContent = step === null ? "" : `at ${stepWords(step)}`;
    for (const panel of this.panels) panel.read(step);
  }
}
