// What every page draws with: charts that follow width and theme, tables that sort, files that are saved.
"use strict";
const $ = id => document.getElementById(id);
const css = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const charts = new Map();  // by the id of their place: a function of the width in px that gives a node
function chart(id, draw) { charts.set(id, draw); }
function paint(id) {
  const place = $(id), width = Math.max(280, place.clientWidth), drawn = charts.get(id)(width);
  place.replaceChildren(...[drawn].flat());
  for (const svg of place.querySelectorAll("svg")) {
    if (svg.parentElement.closest("[class*=swatches]")) { svg.setAttribute("aria-hidden", "true"); continue; }
    svg.setAttribute("role", "img"); svg.setAttribute("aria-labelledby", "c-" + id);
    for (const inner of svg.querySelectorAll("[aria-label], [aria-description]")) { inner.removeAttribute("aria-label"); inner.removeAttribute("aria-description"); }  // the picture is one, named by its caption
  }
}
const paintAll = () => { for (const id of charts.keys()) paint(id); };
const narrow = width => width < 560;
// Distinct in either theme and for the colour-blind (Okabe and Ito 2008, lightened or darkened)
const hues = () => dark() ? ["#56b4e9", "#e69f00", "#2fc79a", "#f0e442", "#cc8fd0", "#ff8a5c", "#a3adbf", "#7f9bff", "#e87fa8"] : ["#0072b2", "#b36b00", "#00795a", "#8a7a00", "#9b4f96", "#c2410c", "#59647a", "#3b55c9", "#b02a63"];
const system = window.matchMedia("(prefers-color-scheme: dark)");
const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
function themed() { $("theme").textContent = dark() ? "Light" : "Dark"; paintAll(); }
const utc = s => new Date(DATA.epochMs + Math.round(1000 * s));
const plot = options => Plot.plot({ style: { fontSize: "12px", fontFamily: "system-ui, sans-serif" }, ...options });
function timeAxis() {  // UTC of DATA.times_s; days where there are several
  const days = (d3.max(DATA.times_s) - DATA.times_s[0]) / 86400;
  const text = d3.utcFormat(days > 1.01 ? "%b %-d %H:%M" : "%H:%M");
  return { label: "UTC", type: "utc", tickFormat: text, ticks: days > 1.01 ? 5 : undefined };
}
const ms = v => v === null || v === undefined ? "undefined" : v < 10 ? v.toFixed(2) + " ms" : v.toFixed(1) + " ms";
const share = v => v === null || v === undefined ? "undefined" : (100 * v).toFixed(1) + " %";
const mean = list => { const known = list.filter(v => v !== null); return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null; };
const isoMinute = date => date.toISOString().slice(0, 16).replace("T", " ");
function fillTable(id, rows) {  // rows of [text, kind, key]
  $(id).tBodies[0].replaceChildren(...rows.map(row => {
    const tr = document.createElement("tr");
    for (const [text, kind, key] of row) { const td = document.createElement("td"); td.textContent = text; if (kind) td.className = kind; if (key !== undefined) td.dataset.key = key ?? ""; tr.append(td); }
    return tr;
  }));
}
function sortBy(button) {
  const th = button.closest("th"), table = th.closest("table"), column = th.cellIndex, up = th.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", up ? "ascending" : "descending");
  const value = tr => { const c = tr.cells[column], t = c.dataset.key ?? c.textContent, n = parseFloat(t); return t === "" ? NaN : Number.isNaN(n) ? t : n; };
  const order = (a, b) => typeof a === "number" && typeof b === "number" ? (Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) ? -1 : (up ? a - b : b - a)) : (up ? 1 : -1) * String(a).localeCompare(String(b));
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort((x, y) => order(value(x), value(y))));
}
function save(name, text, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind })); link.download = name; link.click();
  URL.revokeObjectURL(link.href);
}
const quoted = v => v === null || v === undefined ? "" : /[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v;
const asCsv = records => records.length ? [Object.keys(records[0]).join(), ...records.map(r => Object.values(r).map(quoted).join())].join("\n") + "\n" : "";
function started() {
  for (const button of document.querySelectorAll(".sort")) button.addEventListener("click", () => sortBy(button));
  $("theme").addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; themed(); });
  system.addEventListener("change", themed);
  let width = innerWidth;
  window.addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; paintAll(); } });  // a phone's bars change the height alone
  themed();
}
