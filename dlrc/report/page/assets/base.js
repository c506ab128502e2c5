// Words, numbers, tables and figures that every page shares.
const DATA = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter(child => child != null));
  return node;
}

const MINUS = "\u2212";
const number = (value, digits = 0) => value == null ? "\u2013" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", MINUS);
const signed = (value, digits) => value == null ? "\u2013" : (value > 0 ? "+" : "") + number(value, digits).replace(/^\u2212(0[.0]*)$/, "$1");
const percent = (share, digits = 1) => share == null ? "\u2013" : number(100 * share, digits) + " %";
const bytes = n => n == null ? "\u2013" : n < 10000 ? number(n) + " B" : n < 1e7 ? number(n / 1000, 1) + " kB" : number(n / 1e6, 1) + " MB";
function duration(s) {
  if (s == null) return "\u2013";
  if (s < 1) return number(1000 * s, s < 0.1 ? 2 : 1) + " ms";
  if (s < 120) return number(s, 1) + " s";
  return s < 7200 ? number(s / 60, 1) + " min" : number(s / 3600, 1) + " h";
}
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = satellite => DATA.colours[satellite] || "#777";
const legend = entries => make("div", { class: "legend" }, ...entries.map(([fill, text]) => make("span", {}, make("i", { style: `background:${fill}` }), text)));

// A table that sorts by any of its columns. columns: {key, label, text: row -> string, value: row -> sortable, left}
function table(columns, rows, options = {}) {
  const body = make("tbody"), sorted = { key: null, down: false };
  const fill = list => body.replaceChildren(...list.map(row => {
    const line = make("tr", { class: options.classOf ? options.classOf(row) : "" });
    for (const c of columns) {
      const cell = make("td", { class: [c.left ? "text" : "", c.wrap ? "wrap" : "", c.classOf ? c.classOf(row) : ""].join(" ").trim() });
      const shown = c.text ? c.text(row) : row[c.key];
      cell.append(shown instanceof Node ? shown : shown == null ? "\u2013" : String(shown));
      line.append(cell);
    }
    return line;
  }));
  const heads = columns.map(c => make("th", { scope: "col", class: c.left ? "text" : "", "aria-sort": "none" },
    options.plain ? c.label : make("button", { type: "button", text: c.label, onclick: () => sort(c) })));
  function sort(column) {
    sorted.down = sorted.key === column.key ? !sorted.down : false;
    sorted.key = column.key;
    const of = column.value || (row => row[column.key]);
    const list = [...rows].sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      if (x == null || y == null) return (x == null) - (y == null);
      return (x < y ? -1 : x > y ? 1 : 0) * (sorted.down ? -1 : 1);
    });
    heads.forEach((head, i) => head.setAttribute("aria-sort", columns[i] === column ? (sorted.down ? "descending" : "ascending") : "none"));
    fill(list);
  }
  fill(rows);
  const caption = options.caption ? make("caption", { class: "dim", style: "text-align:left;padding:6px 10px", text: options.caption }) : null;
  return make("div", { class: options.tall ? "scroll tall" : "scroll", tabindex: "0", role: "region", "aria-label": "Table: " + (options.label || "values") },
    make("table", {}, caption, make("thead", {}, make("tr", {}, ...heads)), body));
}

// A chart with words for those who do not see it, and its numbers as a table. draw: width -> svg
const CHARTS = [];
function chart(into, { title, alt, draw, rows, columns, legend: key, note }) {
  const plot = make("div", { class: "plot", tabindex: "0", role: "region", "aria-label": title });
  const figure = make("figure", { class: "chart" }, make("figcaption", { text: title }), key ? legend(key) : null, plot);
  if (note) figure.append(make("p", { class: "dim", style: "margin:.4rem 0 0;font-size:.85rem", text: note }));
  if (rows && rows.length) figure.append(make("details", {}, make("summary", { text: "The same as a table" }), table(columns, rows, { label: title })));
  into.append(figure);
  const render = () => {
    const width = Math.max(300, plot.clientWidth || 600);
    const svg = draw(width);
    const picture = svg.tagName.toLowerCase() === "svg" ? svg : svg.querySelector("svg");
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", alt);
    for (const part of picture.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
    for (const part of picture.querySelectorAll("[aria-description]")) part.removeAttribute("aria-description");
    plot.replaceChildren(svg);
  };
  CHARTS.push(render);
  render();
  return figure;
}
let resizing;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(() => CHARTS.forEach(render => render()), 150); });

// Light, dark, or as the system says
function themes() {
  const order = ["auto", "light", "dark"], button = $("theme");
  const read = () => { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } };
  const put = wish => {
    if (wish === "auto") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = wish;
    button.textContent = "Theme: " + wish;
    document.dispatchEvent(new Event("theme"));
  };
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(read()) + 1) % 3];
    try { localStorage.setItem("theme", next); } catch { /* a browser without storage forgets */ }
    put(next);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("theme")));
  put(read());
}
function copying() {
  document.addEventListener("click", async event => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try { await navigator.clipboard.writeText($(button.dataset.copy).textContent); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren($(button.dataset.copy)); button.textContent = "Selected"; }
  });
}
// A served page looks whether its file has changed; one opened from the disk loads itself again while its run flies
function follow(flying) {
  if (location.protocol.startsWith("http")) {
    let seen = null;
    setInterval(async () => {
      try {
        const answer = await fetch(location.pathname, { method: "HEAD", cache: "no-store" }), tag = answer.headers.get("etag");
        if (seen && tag && tag !== seen) location.reload();
        seen = tag || seen;
      } catch { /* the server has left; what is shown stays */ }
    }, 2000);
  } else if (flying) setInterval(() => { if (!document.hidden) location.reload(); }, 10000);
}
