// Pictures side by side behind a divider, and the latent grid beside them: who codes what, what it costs, what is off.
const KIND = { captured: "original", independent: "independent", dlrc: "DLRC", generated: "generated (never sent)" };
const look = { round: 0, satellite: 0, left: "independent", right: "dlrc", layer: "owner", cell: null, zoom: 1, x: 0.5, y: 0.5, split: 0.5 };
const roundNow = () => DATA.rounds.find(r => r.number === look.round), viewNow = () => roundNow().views.find(v => v.satellite === look.satellite) || roundNow().views[0];
const unpack = (text, Kind) => { const raw = Uint8Array.from(atob(text), c => c.charCodeAt(0)); return new Kind(raw.buffer); };

function cells(view) {  // the map of a view, unpacked once
  const map = view.map;
  if (!map || view.cells) return view.cells || null;
  const values = (name, step) => map[name] ? Float32Array.from(unpack(map[name], Uint16Array), v => v * step) : null;
  view.cells = { h: map.height, w: map.width, kind: unpack(map.class, Uint8Array), owner: unpack(map.owner, Int16Array),
    bits: values("bits", DATA.steps.bits), bits_independent: values("bits_independent", DATA.steps.bits), mse: values("mse", DATA.steps.mse), mse_independent: values("mse_independent", DATA.steps.mse) };
  return view.cells;
}
const LAYERS = {
  owner: { label: "who codes it" },
  bits: { label: "bits with DLRC", unit: "bits", of: c => c.bits }, bits_independent: { label: "bits, independent", unit: "bits", of: c => c.bits_independent, like: "bits" },
  mse: { label: "error with DLRC", unit: "counts\u00b2", of: c => c.mse }, mse_independent: { label: "error, independent", unit: "counts\u00b2", of: c => c.mse_independent, like: "mse" },
};
const ramp = t => d3.interpolateViridis(Math.max(0, Math.min(1, t)));
function most(layer, round) {  // one scale for both sides and all satellites of a round
  const key = LAYERS[layer].like || layer, pair = [key, key + "_independent"];
  round.most = round.most || {};
  return round.most[key] = round.most[key] || Math.max(1e-9, d3.quantile(round.views.flatMap(v => { const c = cells(v); return c ? pair.flatMap(k => c[k] ? [...c[k]] : []) : []; }), 0.995) || 1);
}
function drawGrid(canvas, view, layer, side) {  // side: px of the canvas
  const c = cells(view), g = canvas.getContext("2d");
  canvas.width = canvas.height = side;
  if (!c) { g.fillStyle = css("--soft"); g.fillRect(0, 0, side, side); return; }
  const w = side / c.w, h = side / c.h, values = layer === "owner" ? null : LAYERS[layer].of(c), top = values && most(layer, roundNow());
  for (let i = 0; i < c.kind.length; i++) {
    const x0 = Math.round(i % c.w * w), y0 = Math.round(Math.floor(i / c.w) * h), x1 = Math.round((i % c.w + 1) * w), y1 = Math.round((Math.floor(i / c.w) + 1) * h);
    if (values) { g.fillStyle = ramp(values[i] / top); g.fillRect(x0, y0, x1 - x0, y1 - y0); }
    else drawCell(g, [x0, y0, x1 - x0, y1 - y0], DATA.classes[c.kind[i]].mark, colour(c.owner[i]));
  }
}
function drawCell(g, [x, y, w, h], mark, fill) {
  g.fillStyle = fill; g.fillRect(x, y, w, h);
  const part = (inset, tone) => { g.fillStyle = tone; g.fillRect(x + inset * w, y + inset * h, w * (1 - 2 * inset), h * (1 - 2 * inset)); };
  if (mark === "light") part(0, "rgb(255 255 255 / 60%)");
  if (mark === "core") part(w < 6 ? 0 : 0.24, w < 6 ? "rgb(255 255 255 / 45%)" : "rgb(255 255 255 / 82%)");
  if (mark === "dark") part(w < 6 ? 0 : 0.24, w < 6 ? "rgb(0 0 0 / 40%)" : "rgb(0 0 0 / 75%)");
  if (mark === "stripes") { g.save(); g.beginPath(); g.rect(x, y, w, h); g.clip(); g.strokeStyle = "rgb(255 255 255 / 75%)"; g.lineWidth = Math.max(1, w / 6); for (let k = -1; k < 2; k++) { g.beginPath(); g.moveTo(x + k * w / 2, y + h); g.lineTo(x + w + k * w / 2, y); g.stroke(); } g.restore(); }
  if (w >= 12) { g.strokeStyle = "rgb(255 255 255 / 35%)"; g.lineWidth = 1; g.strokeRect(x + 0.5, y + 0.5, w, h); }
}

function told(view, i) {  // one position, in words
  const c = cells(view), kind = DATA.classes[c.kind[i]], at = `Row ${Math.floor(i / c.w)}, column ${i % c.w}: ${kind.told.replace("{owner}", c.owner[i] < 1024 ? c.owner[i] : `${c.owner[i] % 1024} of ${c.owner[i] >> 10} rounds ago`)}`;
  const parts = [at];
  if (c.bits) parts.push(`${number(c.bits[i], 1)} bits (independent ${number(c.bits_independent[i], 1)})`);
  if (c.mse) parts.push(`mean squared error ${number(c.mse[i], 1)} (independent ${number(c.mse_independent[i], 1)})`);
  return parts.join("; ") + ".";
}
function showMap() {
  const view = viewNow(), c = cells(view), canvas = $("map"), side = Math.round((canvas.clientWidth || 400) * Math.min(2, devicePixelRatio || 1));
  drawGrid(canvas, view, look.layer, side);
  if (c && look.cell != null) {
    const g = canvas.getContext("2d"), w = side / c.w, h = side / c.h, x = look.cell % c.w * w, y = Math.floor(look.cell / c.w) * h;
    g.lineWidth = Math.max(2, side / 200); g.strokeStyle = "#000"; g.strokeRect(x, y, w, h); g.strokeStyle = "#fff"; g.setLineDash([4, 4]); g.strokeRect(x, y, w, h); g.setLineDash([]);
  }
  const outcome = view.outcome === "exact" ? "its stream was decoded exactly" : `${view.outcome}${DATA.outcomes[view.outcome] ? ": " + DATA.outcomes[view.outcome] : ""}`;
  $("map-caption").textContent = c ? `Satellite ${view.satellite}, round ${look.round + 1}: ${c.h} \u00d7 ${c.w} latent positions; ${outcome}.` : `Satellite ${view.satellite}: no map; ${outcome}.`;
  $("cell").textContent = c ? (look.cell == null ? shares(c) + " Point at a position, or use the arrow keys." : told(view, look.cell)) : "";
}
function shares(c) {
  const counts = DATA.classes.map((kind, k) => [kind.label, c.kind.reduce((n, v) => n + (v === k), 0)]).filter(([, n]) => n);
  return counts.map(([label, n]) => `${percent(n / c.kind.length, 0)} ${label}`).join(", ") + ".";
}
function mapLegend() {
  const box = $("map-legend"); box.replaceChildren();
  const present = new Set(roundNow().views.flatMap(v => { const c = cells(v); return c ? [...c.kind] : []; }));
  if (look.layer === "owner") for (const [k, kind] of DATA.classes.entries()) {
    if (!present.has(k)) continue;
    const sample = make("canvas", { width: 16, height: 16, style: "width:16px;height:16px;aspect-ratio:auto", "aria-hidden": true });
    drawCell(sample.getContext("2d"), [0, 0, 16, 16], kind.mark, colour(kind.key === "kept" || kind.key === "local" ? 0 : 1));
    box.append(make("span", {}, sample, kind.label));
  } else {
    const stops = d3.range(0, 1.01, 0.1).map(ramp).join(",");
    box.append(make("span", {}, `0`, make("i", { style: `width:110px;background:linear-gradient(90deg,${stops})` }), `${number(most(look.layer, roundNow()), 0)} ${LAYERS[look.layer].unit}`));
  }
}
function tiles() {
  const box = $("tiles"); box.replaceChildren();
  for (const view of roundNow().views) {
    const row = DATA.rows.find(r => r.round === look.round && r.satellite === view.satellite), canvas = make("canvas", { "aria-hidden": true });
    const saved = row && row.independent_total_bytes ? signed(100 * (row.dlrc_total_bytes / row.independent_total_bytes - 1), 0) + " %" : "";
    box.append(make("button", { type: "button", class: "tile", "aria-pressed": String(view.satellite === look.satellite), onclick: () => { look.satellite = view.satellite; changed(); } },
      canvas, make("b", {}, make("i", { style: `background:${colour(view.satellite)}` }), `Satellite ${view.satellite}`), make("span", { text: view.outcome === "exact" ? `${bytes(row?.dlrc_total_bytes)}, ${saved}` : view.outcome })));
    drawGrid(canvas, view, look.layer, 128);
  }
}

// ---------------------------------------------------------------- pictures
const SHEETS = new Map();  // uri -> {kind: canvas}
function sheets(view) {
  const held = view.pictures;
  if (!held) return Promise.resolve(null);
  if (!SHEETS.has(held.uri)) SHEETS.set(held.uri, new Promise(done => {
    const image = new Image();
    image.onload = () => done(Object.fromEntries(held.kinds.map((kind, i) => { const part = document.createElement("canvas"); part.width = held.width; part.height = held.height; part.getContext("2d").drawImage(image, 0, -i * held.height); return [kind, part]; })));
    image.src = held.uri;
  }));
  return SHEETS.get(held.uri);
}
function errorOf(parts, kind) {  // eight times what is off, pixel by pixel, as grey plus difference
  const name = "error " + kind;
  if (parts[name] || !parts.captured || !parts[kind]) return parts[name] || null;
  const size = [0, 0, parts.captured.width, parts.captured.height], [a, b] = [parts.captured, parts[kind]].map(p => p.getContext("2d").getImageData(...size));
  for (let i = 0; i < a.data.length; i++) if (i % 4 < 3) a.data[i] = Math.min(255, 8 * Math.abs(a.data[i] - b.data[i]));
  const out = document.createElement("canvas"); out.width = size[2]; out.height = size[3]; out.getContext("2d").putImageData(a, 0, 0);
  return parts[name] = out;
}
async function showPicture() {
  const view = viewNow(), canvas = $("picture"), parts = await sheets(view), g = canvas.getContext("2d");
  if (view !== viewNow()) return;
  const side = Math.round((canvas.clientWidth || 400) * Math.min(2, devicePixelRatio || 1));
  canvas.width = canvas.height = side;
  const name = key => KIND[key] || `error of ${KIND[key.slice(6)]}, 8 times`, title = `${name(look.left)} on the left, ${name(look.right)} on the right, satellite ${view.satellite}, round ${look.round + 1}`;
  canvas.setAttribute("aria-label", parts ? title : `no picture of satellite ${view.satellite} in this page`);
  $("picture-caption").textContent = parts ? `${title}.${view.pictures.lossless ? "" : " Shown as lossy WebP (quality 95); the folder has it as PNG."}` : "No picture of this view is in the page (a round past the fourth, a stream that never came, or the page is full); the folder's rounds/ may have it.";
  if (!parts) return;
  const scale = side * look.zoom, half = 0.5 / look.zoom;
  look.x = Math.max(half, Math.min(1 - half, look.x)); look.y = Math.max(half, Math.min(1 - half, look.y));
  const left = side / 2 - look.x * scale, top = side / 2 - look.y * scale, cut = look.split * side;
  g.imageSmoothingEnabled = look.zoom < 1.01 && side < 2 * view.pictures.width;
  const put = (key, from, to) => {
    const picture = key.startsWith("error ") ? errorOf(parts, key.slice(6)) : parts[key];
    g.save(); g.beginPath(); g.rect(from, 0, to - from, side); g.clip();
    if (picture) g.drawImage(picture, left, top, scale, scale); else { g.fillStyle = "#555"; g.fillRect(from, 0, to - from, side); g.fillStyle = "#fff"; g.font = `${side / 28}px system-ui`; g.fillText("no such picture", from + 10, side / 2); }
    g.restore();
  };
  put(look.left, 0, cut); put(look.right, cut, side);
  const c = cells(view);
  if (c && look.cell != null) { g.strokeStyle = "#ff3b30"; g.lineWidth = Math.max(2, side / 300); g.strokeRect(left + look.cell % c.w * scale / c.w, top + Math.floor(look.cell / c.w) * scale / c.h, scale / c.w, scale / c.h); }
  g.fillStyle = "#fff"; g.fillRect(cut - side / 400, 0, side / 200, side); g.fillStyle = "rgb(0 0 0 / 55%)"; g.fillRect(cut - side / 400 - 1, 0, 1, side); g.fillRect(cut + side / 400, 0, 1, side);
  g.font = `600 ${Math.max(12, side / 36)}px system-ui, sans-serif`; g.textBaseline = "top";
  const tag = (text, x, align) => { const w = g.measureText(text).width + 14, h = Math.max(20, side / 22), at = align === "left" ? x : x - w; g.fillStyle = "rgb(0 0 0 / 62%)"; g.fillRect(at, 8, w, h); g.fillStyle = "#fff"; g.fillText(text, at + 7, 8 + h * 0.2); };
  if (cut > side * 0.12) tag(name(look.left), 8, "left");
  if (cut < side * 0.88) tag(name(look.right), side - 8, "right");
  $("zoom").textContent = number(look.zoom, look.zoom % 1 ? 1 : 0) + "\u00d7";
}
function zoomTo(factor, u = 0.5, v = 0.5) {  // what lies under (u, v) of the canvas stays there
  const before = look.zoom; look.zoom = Math.max(1, Math.min(16, look.zoom * factor));
  look.x += (u - 0.5) * (1 / before - 1 / look.zoom); look.y += (v - 0.5) * (1 / before - 1 / look.zoom);
  showPicture();
}

function footprints(into) {
  const round = roundNow(), placed = round.views.filter(v => v.place); into.replaceChildren();
  if (!placed.length) return;
  const box = placed.map(v => ({ satellite: v.satellite, x1: v.place.column, y1: v.place.row, x2: v.place.column + DATA.patch_px, y2: v.place.row + DATA.patch_px }));
  const details = make("details", {}, make("summary", { text: "Where the views lie in the window" })); into.append(details);
  chart(details, { title: `Footprints of round ${look.round + 1}, px of the window`, alt: `${box.length} patches of ${DATA.patch_px} px in a window of ${DATA.window_px} px.`,
    draw: width => { const size = Math.min(width, 460); return Plot.plot({ width: size, height: size, margin: 34, x: { domain: [0, DATA.window_px], label: "column" }, y: { domain: [0, DATA.window_px], reverse: true, label: "row" }, marks: [Plot.rect(box, { x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: d => colour(d.satellite), fillOpacity: 0.14, stroke: d => colour(d.satellite), strokeWidth: 2 }), Plot.text(box, { x: "x1", y: "y1", dx: 10, dy: 10, text: d => String(d.satellite), fontWeight: 700 })] }); },
    rows: box, columns: [{ key: "satellite", label: "satellite" }, { key: "y1", label: "row" }, { key: "x1", label: "column" }] });
}
