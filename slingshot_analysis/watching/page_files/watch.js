// Shows each run that the server sends. Texts of a log are set as text, never as markup.
"use strict";

const WIDTH = 400, HEIGHT = 100;
const runs = document.getElementById("runs");
const status = document.getElementById("status");
const articles = new Map();

function element(tag, text, parent, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  parent.append(made);
  return made;
}

function shape(tag, attributes, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
}

const number = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4))));

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.round(seconds)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function progress(run) {
  if (run.step === null) return "no rows yet";
  const parts = [`${number(run.step)}${run.steps === null ? "" : ` of ${number(run.steps)}`} steps`];
  if (run.ended) parts.push(run.ended);
  else parts.push(run.pace ? `${number(run.pace)} steps/s` : "pace not known yet");
  if (run.secondsLeft !== null) parts.push(`${duration(run.secondsLeft)} left`);
  return parts.join(" · ");
}

function draw(curve, run, figure) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  figure.append(svg);
  const first = curve.step[0], last = Math.max(run.step, curve.step[curve.step.length - 1]);
  const positive = curve.low.filter((value) => value > 0);
  const floor = positive.length ? Math.min(...positive) : 1e-300;
  const scaled = curve.logarithmic ? (value) => Math.log(Math.max(value, floor)) : (value) => value;
  const low = curve.low.map(scaled), high = curve.high.map(scaled);
  const bottom = Math.min(...low), top = Math.max(...high);
  svg.setAttribute("aria-label", `${curve.name} from step ${number(first)} to ${number(last)}, now ${curve.last}`);
  const x = (step) => (WIDTH * (step - first)) / Math.max(last - first, 1e-12);
  const y = (value) => (top > bottom ? (HEIGHT * (top - value)) / (top - bottom) : HEIGHT / 2);
  const inside = (step) => step >= first && step <= last;
  for (const [kind, start, end] of run.phases) {
    if (kind !== "growth" || end < first || start > last) continue;
    const left = x(Math.max(start, first));
    shape("rect", { class: "growth", x: left, y: 0, width: x(Math.min(end, last)) - left, height: HEIGHT }, svg);
  }
  const upper = high.map((value, i) => `${x(curve.step[i])},${y(value)}`);
  const lower = low.map((value, i) => `${x(curve.step[i])},${y(value)}`);
  shape("polygon", { class: "curve", points: [...upper, ...lower.reverse()].join(" ") }, svg);
  for (const kind of ["slingshot", "transition"]) {
    for (const at of run[`${kind}s`].filter(inside)) {
      shape("line", { class: kind, x1: x(at), x2: x(at), y1: 0, y2: HEIGHT }, svg);
    }
  }
  const ends = element("div", "", figure, "ends");
  element("span", number(first), ends);
  element("span", number(last), ends);
}

function show(run) {
  const key = `${run.file}\n${run.run}`;
  if (!articles.has(key)) {
    articles.set(key, document.createElement("article"));
    runs.append(articles.get(key));
  }
  const article = articles.get(key);
  article.style.order = run.place;
  article.replaceChildren();
  element("h2", run.run, article).title = run.file;
  element("div", progress(run), article, "progress");
  const curves = element("div", "", article, "curves");
  for (const curve of run.curves.filter((curve) => curve.step.length)) {
    const figure = element("figure", "", curves);
    const caption = element("figcaption", `${curve.name} `, figure);
    const range = `between ${Math.min(...curve.low).toPrecision(3)} and ${Math.max(...curve.high).toPrecision(3)}`;
    const scale = curve.logarithmic ? ", on a logarithmic scale" : "";
    element("span", `now ${curve.last === null ? "not finite" : curve.last}, ${range}${scale}`, caption);
    draw(curve, run, figure);
  }
  const facts = element("ul", "", article);
  for (const fact of [run.phase, ...run.facts].filter(Boolean)) element("li", fact, facts);
}

const events = new EventSource("events");
events.onmessage = (message) => {
  status.textContent = `updated at ${new Date().toLocaleTimeString()}`;
  show(JSON.parse(message.data));
};
events.addEventListener("over", () => {
  events.close();
  status.textContent = "every run has ended";
});
events.onerror = () => { status.textContent = "no connection: is slingshot watch still running?"; };
