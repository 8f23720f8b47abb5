// The behaviour of the page: which run is open, sorting and filtering, light and dark, printing.
"use strict";

const PRINTED_WIDTH = "680px";

const figures = new Map();

function openRun(number) {
  const article = document.getElementById(`run-${number}`);
  if (!article) return null;
  for (const other of document.querySelectorAll("article.run")) other.hidden = other !== article;
  for (const link of document.querySelectorAll("[data-run]")) {
    link.closest("tr").classList.toggle("open", link.dataset.run === String(number));
  }
  if (!figures.has(number)) {
    const root = article.querySelector(".figure");
    const data = JSON.parse(document.getElementById(`run-${number}-data`).textContent);
    figures.set(number, data.panels.length ? new RunFigure(root, data, (event, jump) => showRow(article, event, jump)) : null);
    for (const link of article.querySelectorAll("[data-event-link]")) {
      link.addEventListener("click", (click) => {
        click.preventDefault();
        showEvent(number, Number(link.dataset.eventLink));
      });
    }
  } else {
    figures.get(number)?.resize();
  }
  return article;
}

// Mark the row of an event, and move to it if the event was chosen in the figure.
function showRow(article, event, jump) {
  for (const row of article.querySelectorAll("tr[data-event]")) {
    row.classList.toggle("chosen", row.dataset.event === String(event));
  }
  if (!jump) return;
  const link = article.querySelector(`[data-event-link="${event}"]`);
  link.focus({ preventScroll: true });
  link.scrollIntoView({ block: "center" });
}

function showEvent(number, event) {
  const figure = figures.get(number);
  if (!figure) return;
  figure.choose(event);
  figure.root.focus({ preventScroll: true });
  figure.root.scrollIntoView({ block: "start" });
}

function followHash() {
  const found = /^#run-(\d+)$/.exec(location.hash);
  if (found) openRun(Number(found[1]))?.scrollIntoView();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
  }
  for (const figure of figures.values()) figure?.redraw();
}

// Give the figures this width, or that of the window: a canvas does not shrink with the paper.
function setWidth(width) {
  for (const figure of figures.values()) {
    if (!figure) continue;
    figure.root.style.width = width;
    figure.resize();
  }
}

function sortable(table) {
  const body = table.tBodies[0];
  table.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const rising = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const cell = (row) => row.cells[head.cellIndex].dataset.sort ?? row.cells[head.cellIndex].textContent.trim();
      const rows = [...body.rows].sort((a, b) => (rising ? 1 : -1) * compare(cell(a), cell(b)));
      rows.sort((a, b) => (cell(a) === "") - (cell(b) === ""));
      body.append(...rows);
    });
  });
}

function compare(a, b) {
  const numbers = [Number(a), Number(b)];
  return numbers.some(Number.isNaN) ? a.localeCompare(b, "en", { numeric: true }) : numbers[0] - numbers[1];
}

function filterable(input, table, status) {
  const rows = [...table.tBodies[0].rows];
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = `${shown} of ${rows.length} runs`;
  };
  input.addEventListener("input", filter);
  filter();
}

function start() {
  setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  for (const button of document.querySelectorAll("[data-theme-choice]")) {
    button.addEventListener("click", () => setTheme(button.dataset.themeChoice));
  }
  const table = document.querySelector("table.runs");
  if (table) {
    sortable(table);
    filterable(document.getElementById("filter"), table, document.getElementById("filter-status"));
  }
  for (const link of document.querySelectorAll("[data-run]")) {
    link.addEventListener("click", () => openRun(Number(link.dataset.run)));
  }
  openRun(Number(document.querySelector("article.run:not([hidden])").id.slice("run-".length)));
  followHash();
  addEventListener("hashchange", followHash);
  let before = "light";
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    setTheme("light");
    setWidth(PRINTED_WIDTH);
  });
  addEventListener("afterprint", () => {
    setTheme(before);
    setWidth("");
  });
}

start();
