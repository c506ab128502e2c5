// A run from orbits on two maps, and a slider through its time.
const SVG = "http://www.w3.org/2000/svg";
const KINDS = [["within_round", "within the window", "within window", "var(--y)"], ["own_revisit", "from own earlier views", "own earlier", "var(--good)"], ["others_revisit", "from others' earlier views", "others' earlier", "var(--map)"]];
const looks = DATA.rounds.flatMap(round => round.looks.map(look => ({ ...look, round: round.number, key: look.satellite + "@" + round.number })));
const byKey = new Map(looks.map(look => [look.key, look]));
const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);
const spans = DATA.rounds.filter(round => round.looks.length).map(round => ({ round, begin: round.looks[0].time_s, end: round.looks.at(-1).time_s }));
const state = { t: 0, look: null, playing: false };

function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) if (value != null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
function clock(s) {
  const day = Math.floor(s / 86400), rest = Math.floor(s % 86400), two = n => String(n).padStart(2, "0");
  return (day ? `day ${day + 1}, ` : "") + `${two(Math.floor(rest / 3600))}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}`;
}
const saved = look => look.independent - look.dlrc;
const share = (part, look) => look.independent ? percent(part / look.independent) : "\u2013";

// ---------------------------------------------------------------- the answer
function answer() {
  const alone = sum(looks, l => l.independent), sent = sum(looks, l => l.dlrc);
  $("name").textContent = DATA.name + ": who saw what, when";
  $("epoch").textContent = DATA.epoch ? "from " + DATA.epoch.replace("T", " ").replace("Z", " UTC") : "";
  $("asked").append(...[`${DATA.satellites} satellites`, `${spans.length} windows`, `${looks.length} looks`, DATA.scene].map(text => make("li", { text })));
  $("headline").append(make("b", { text: alone ? percent(1 - sent / alone) : "\u2013" }), ` of ${bytes(alone)} saved over ${looks.length} looks`);
  $("notice").hidden = !DATA.estimate; $("notice").textContent = "Rates are an open-loop estimate, not decodable streams.";
  const card = (title, big, told) => $("cards").append(make("div", { class: "card" }, make("h3", { text: title }), make("p", { class: "big", text: big }), make("p", { class: "dim", text: told })));
  const parts = Object.fromEntries(KINDS.map(([key]) => [key, sum(looks, l => l[key])]));
  card("Within a window, from other satellites", percent(parts.within_round / alone), bytes(parts.within_round) + " of what independent streams take");
  card("From own earlier views", percent(parts.own_revisit / alone), DATA.memory ? bytes(parts.own_revisit) + ", of the satellite's own looks before" : "nobody remembers in this run (dlrc.memory=none)");
  card("From others' earlier views", percent(parts.others_revisit / alone), !DATA.memory ? "nobody remembers in this run" : bytes(parts.others_revisit) + (DATA.listen ? ", also heard by those who did not look" : ", heard by those who looked"));
  card("Decoded exactly", `${DATA.exact} of ${DATA.views}`, `maps, guides, headers: ${signed(sum(looks, l => l.side), 0)} B saved beside (negative: spent)`);
  card("Exchange", bytes(sum(DATA.rounds, r => r.link_bytes)), `over inter-satellite links, each hop counted; ${number(sum(DATA.rounds, r => r.listened))} times somebody listened without looking`);
  $("foot").textContent = "Footprints are where satellites believe they look. Positions between stored points are interpolated. Bytes are of real streams, beside the independent codec in the same run. Coastline: Natural Earth, public domain.";
}

// ---------------------------------------------------------------- the strip of windows
const X = t => 1000 * t / DATA.until_s;
function strip() {
  const most = Math.max(1, ...spans.map(s => sum(s.round.looks, l => l.independent)));
  for (let hour = 0; hour <= DATA.until_s / 3600; hour += DATA.until_s > 2 * 86400 ? 24 : 3) $("strip").append(draw("line", { x1: X(3600 * hour), x2: X(3600 * hour), y1: 0, y2: 64, stroke: "var(--line)", "vector-effect": "non-scaling-stroke" }));
  for (const span of spans) {
    const wide = Math.max(10, X(span.end) - X(span.begin)), left = Math.min(1000 - wide, Math.max(0, X((span.begin + span.end) / 2) - wide / 2));
    let y = 62;
    const bar = (size, fill, title) => { const high = Math.max(0, 56 * size / most); y -= high; $("strip").append(draw("rect", { x: left, y, width: wide, height: high, fill }, draw("title", {}, title))); };
    bar(sum(span.round.looks, l => l.dlrc), "var(--header)", `window ${span.round.number + 1}: sent`);
    for (const [key, told, , fill] of KINDS) bar(sum(span.round.looks, l => l[key]), fill, `window ${span.round.number + 1}: saved ${told}`);
  }
  $("strip").append(draw("line", { id: "cursor", y1: 0, y2: 64, class: "now", "vector-effect": "non-scaling-stroke" }));
  $("strip").setAttribute("aria-label", "Windows of the run, bytes sent and saved. " + spans.map(s => `Window ${s.round.number + 1} at ${clock(s.begin)}: ${s.round.looks.length} looks, ${bytes(sum(s.round.looks, l => l.dlrc))} of ${bytes(sum(s.round.looks, l => l.independent))} sent`).join(". "));
  $("strip").addEventListener("click", event => { const box = $("strip").getBoundingClientRect(); go(DATA.until_s * (event.clientX - box.left) / box.width); });
  $("strip-legend").append(legend([["var(--header)", "sent"], ...KINDS.map(([, told, , fill]) => [fill, "saved " + told])]));
}

// ---------------------------------------------------------------- the world
const unpack = text => new Int16Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
const tracks = DATA.tracks && DATA.tracks.satellites.length ? { ...DATA.tracks, lon: unpack(DATA.tracks.longitude), lat: unpack(DATA.tracks.latitude) } : null;
function below(place, t) {  // degrees; along the shorter way between two stored points
  const n = tracks.satellites.length, at = Math.max(0, Math.min(tracks.lon.length / n - 2, Math.floor(t / tracks.step_s))), f = Math.min(1, Math.max(0, t / tracks.step_s - at)), i = at * n + place, j = i + n;
  let turn = tracks.lon[j] - tracks.lon[i];
  turn -= 36000 * Math.round(turn / 36000);
  const lon = (tracks.lon[i] + f * turn) / 100;
  return [lon - 360 * Math.round(lon / 360), (tracks.lat[i] + f * (tracks.lat[j] - tracks.lat[i])) / 100];
}
function world() {
  const svg = $("world");
  svg.append(draw("rect", { x: -180, y: -90, width: 360, height: 180, class: "sea" }));
  const ring = points => { let path = ""; for (let i = 0; i < points.length; i += 2) path += `${i && Math.abs(points[i] - points[i - 2]) < 1800 ? "L" : "M"}${points[i] / 10} ${-points[i + 1] / 10}`; return path; };
  svg.append(draw("path", { d: DATA.coast.map(ring).join(""), class: "land" }));
  for (let lon = -150; lon < 180; lon += 30) svg.append(draw("line", { x1: lon, x2: lon, y1: -90, y2: 90, class: "grid" }));
  for (let lat = -60; lat < 90; lat += 30) svg.append(draw("line", { x1: -180, x2: 180, y1: -lat, y2: -lat, class: "grid" }));
  const at = one => `translate(${one.longitude_deg} ${-one.latitude_deg})`;
  svg.append(draw("path", { d: "M-3 3L0 -3L3 3Z", transform: at(DATA.station), fill: "var(--dim)" }, draw("title", {}, "ground station " + DATA.station.name)));
  for (const one of DATA.targets.slice(0, 200)) svg.append(draw("path", { d: "M-4 0H4M0 -4V4", transform: at(one), stroke: "var(--bad)", "stroke-width": 1.4 }, draw("title", {}, "target " + one.name)));
  svg.append(draw("g", { id: "moving" }));
}
const TAIL_S = 1200;
function tail(place, t) {
  let path = "", before = null;
  for (let s = Math.max(0, t - TAIL_S); ; s = Math.min(t, s + 60)) {
    const [lon, lat] = below(place, s);
    path += `${before === null || Math.abs(lon - before) > 180 ? "M" : "L"}${lon.toFixed(2)} ${(-lat).toFixed(2)}`;
    before = lon;
    if (s >= t) return path;
  }
}
function moving(span) {
  const busy = new Set(span && state.t <= span.end + 60 ? span.round.looks.map(l => l.satellite) : []), nodes = [];
  if (tracks) tracks.satellites.forEach((satellite, place) => {
    const [lon, lat] = below(place, state.t), fill = colour(satellite);
    nodes.push(draw("path", { d: tail(place, state.t), class: "track", stroke: fill }));
    nodes.push(draw("circle", { cx: lon, cy: -lat, r: busy.has(satellite) ? 3.6 : 2, fill, stroke: busy.has(satellite) ? "var(--ink)" : "none", "stroke-width": 0.8 }, draw("title", {}, "satellite " + satellite)));
    if (busy.has(satellite)) nodes.push(draw("text", { x: lon + 5, y: 2.5 - lat, class: "ink halo", style: "font-size:8px;font-weight:600" }, String(satellite)));
  });
  $("moving").replaceChildren(...nodes);
  $("world").setAttribute("aria-label", `Map of the world at ${clock(state.t)}: ${tracks ? tracks.satellites.length + " satellites with their last 20 minutes" : "no tracks"}${busy.size ? ", looking: " + [...busy].join(", ") : ""}`);
}

// ---------------------------------------------------------------- the ground
const WIDE = 600;
let place = null;
function ground() {
  if (!DATA.box) { $("ground-figure").hidden = true; return; }
  const [west, south, east, north] = DATA.box, narrow = Math.cos((north + south) / 360 * Math.PI), high = WIDE * (north - south) / ((east - west) * narrow), svg = $("ground");
  place = ([lon, lat]) => [WIDE * (lon - west) / (east - west), high * (north - lat) / (north - south)];
  svg.setAttribute("viewBox", `0 0 ${WIDE} ${high}`);
  svg.append(draw("rect", { width: WIDE, height: high, class: "sea" }));
  if (DATA.quicklook) svg.append(draw("image", { href: DATA.quicklook, width: WIDE, height: high, preserveAspectRatio: "none" }));
  const step = 10 ** Math.floor(Math.log10((east - west) / 2)), every = (east - west) / step > 8 ? 5 * step : (east - west) / step > 4 ? 2 * step : step, digits = Math.max(0, -Math.floor(Math.log10(every)));
  const label = (x, y, text, anchor) => draw("text", { x, y, class: "ink halo", "text-anchor": anchor, style: "font-size:15px" }, text);
  for (let lon = every * Math.ceil(west / every); lon < east; lon += every) { const x = place([lon, 0])[0]; if (x > 40 && x < WIDE - 40) svg.append(draw("line", { x1: x, x2: x, y1: 0, y2: high, class: "grid", style: "stroke-width:1" }), label(x, high - 6, number(lon, digits) + "\u00b0", "middle")); }
  for (let lat = every * Math.ceil(south / every); lat < north; lat += every) { const y = place([0, lat])[1]; if (y < high - 40) svg.append(draw("line", { x1: 0, x2: WIDE, y1: y, y2: y, class: "grid", style: "stroke-width:1" }), label(4, y - 4, number(lat, digits) + "\u00b0", "start")); }
  svg.append(draw("g", { id: "prints" }));
  $("ground-caption").textContent = (DATA.quicklook ? "The scene with what was seen up to this time. " : "What was seen up to this time. ") + "Coloured: this window. White, thin: earlier ones. Dashed: what the chosen look was copied from.";
}
function prints(span) {
  if (!place) return;
  const path = look => "M" + look.corners.map(corner => place(corner).map(v => v.toFixed(1)).join(" ")).join("L") + "Z";
  const seen = looks.filter(l => l.time_s <= state.t), here = seen.filter(l => span && l.round === span.round.number), nodes = [];
  for (const look of seen) if (!here.includes(look)) nodes.push(draw("path", { d: path(look), fill: "none", stroke: "#fff", "stroke-opacity": 0.55, "stroke-width": 1 }));
  for (const look of here) {
    const chosen = state.look === look.key, [x, y] = place(look.corners[0]);
    nodes.push(draw("path", { d: path(look), fill: colour(look.satellite), "fill-opacity": chosen ? 0.3 : 0.12, stroke: "#000", "stroke-width": chosen ? 6 : 4, "stroke-opacity": 0.45 }), draw("path", { d: path(look), fill: "none", stroke: colour(look.satellite), "stroke-width": chosen ? 4 : 2.5 }), draw("text", { x: x + 7, y: y + 22 + 20 * here.indexOf(look), class: "ink halo", style: "font-size:19px;font-weight:650" }, String(look.satellite)));
  }
  const chosen = byKey.get(state.look);
  if (chosen) for (const [satellite, round] of chosen.sources) { const source = byKey.get(satellite + "@" + round); if (source) nodes.push(draw("path", { d: path(source), fill: "none", stroke: "#ff3b6b", "stroke-width": 3, "stroke-dasharray": "9 6" })); }
  $("prints").replaceChildren(...nodes);
  $("ground").setAttribute("aria-label", `Map of the ground at ${clock(state.t)}: ${seen.length} of ${looks.length} looks, ${here.length} of this window` + (here.length ? ", by satellites " + here.map(l => l.satellite).join(", ") : ""));
}

// ---------------------------------------------------------------- a window, and all looks
const source = ([satellite, round, size]) => `satellite ${satellite}, window ${round + 1}${byKey.has(satellite + "@" + round) ? " at " + clock(byKey.get(satellite + "@" + round).time_s) : ""}: ${bytes(Math.round(size))}`;
const COLUMNS = [
  { key: "time_s", label: "time", left: true, text: l => make("button", { type: "button", text: clock(l.time_s), "data-look": l.key, "aria-label": `Show the look of satellite ${l.satellite} at ${clock(l.time_s)}`, onclick: () => choose(l.key) }) },
  { key: "satellite", label: "satellite", left: true, text: l => make("span", {}, make("i", { class: "swatch", style: `background:${colour(l.satellite)}`, "aria-hidden": "true" }), String(l.satellite)) },
  { key: "off_nadir_deg", label: "off-nadir, \u00b0", text: l => number(l.off_nadir_deg, 1) },
  { key: "sun_elevation_deg", label: "Sun, \u00b0", text: l => number(l.sun_elevation_deg, 0) },
  { key: "independent", label: "alone, B", text: l => number(l.independent) },
  { key: "dlrc", label: "sent, B", text: l => number(l.dlrc) },
  { key: "saved", label: "saved", text: l => share(saved(l), l), value: l => saved(l) / l.independent },
  ...KINDS.map(([key, , label]) => ({ key, label, text: l => share(l[key], l), value: l => l[key] / l.independent })),
  { key: "sources", label: "copied from", left: true, wrap: true, text: l => l.sources.slice(0, 2).map(([s, round, size]) => `${s} in window ${round + 1}: ${bytes(Math.round(size))}`).join(", ") + (l.sources.length > 2 ? `, ${l.sources.length - 2} more` : "") || "nobody", value: l => l.sources.length },
];
let shown;
function pass(span) {
  const key = span ? span.round.number : -1;
  if (shown === key) return;
  shown = key;
  if (!span) { $("pass-title").textContent = "Before the first window"; $("pass-told").textContent = "Nobody has looked yet."; $("pass").replaceChildren(); return; }
  const list = looks.filter(l => l.round === span.round.number), alone = sum(list, l => l.independent), sent = sum(list, l => l.dlrc);
  $("pass-title").textContent = `Window ${span.round.number + 1} of ${DATA.rounds.length}, ${clock(span.begin)} to ${clock(span.end)}`;
  $("pass-told").textContent = `${list.length} of ${DATA.satellites} looked, ${span.round.listened} listened; ${bytes(alone)} \u2192 ${bytes(sent)} (${signed(100 * (sent / alone - 1), 1)} %); exchange ${duration(span.round.t_round_s)}, ${bytes(span.round.link_bytes)} over links.`;
  $("pass").replaceChildren(table(COLUMNS, list, { plain: true, tall: true, label: "Looks of this window" }));
}
function told() {
  const look = byKey.get(state.look);
  for (const button of document.querySelectorAll("[data-look]")) button.closest("tr").classList.toggle("picked", button.dataset.look === state.look);
  $("look-told").textContent = look ? `${look.name}: incidence ${number(look.incidence_deg, 1)}\u00b0, satellite in azimuth ${number(look.azimuth_deg, 0)}\u00b0, pixels of ${number(look.gsd_m, 1)} m, Sun ${number(look.sun_elevation_deg, 0)}\u00b0 high in azimuth ${number(look.sun_azimuth_deg, 0)}\u00b0, ${look.outcome}. Copied from ${look.sources.length ? look.sources.map(source).join("; ") : "nobody"}; maps, guides, headers ${signed(look.side, 0)} B.` : "";
}

// ---------------------------------------------------------------- time
function show() {
  const span = spans.filter(s => s.begin <= state.t).at(-1) || null;
  $("time").textContent = clock(state.t);
  $("slider").value = state.t; $("slider").setAttribute("aria-valuetext", clock(state.t));
  for (const end of ["x1", "x2"]) $("cursor").setAttribute(end, X(state.t));
  moving(span); prints(span); pass(span); told();
}
function go(t, look = null) { state.t = Math.max(0, Math.min(DATA.until_s, t)); state.look = look; show(); }
function choose(key) { go(byKey.get(key).time_s, key); }
function steer() {
  $("slider").max = Math.ceil(DATA.until_s / 30) * 30;
  $("slider").addEventListener("input", () => go(Number($("slider").value)));
  $("before").addEventListener("click", () => { const span = spans.filter(s => s.end < state.t - 1).at(-1) || spans[0]; if (span) go(span.end); });
  $("after").addEventListener("click", () => { const span = spans.find(s => s.end > state.t + 1) || spans.at(-1); if (span) go(span.end); });
  let last = null;
  const step = now => { if (!state.playing) return; if (last !== null) go(state.t + (now - last) / 1000 * DATA.until_s / 60); last = now; if (state.t >= DATA.until_s) pause(false); else requestAnimationFrame(step); };
  const pause = wish => { state.playing = wish; last = null; $("play").textContent = wish ? "Pause" : "Play"; $("play").setAttribute("aria-pressed", String(wish)); if (wish) { if (state.t >= DATA.until_s) go(0); requestAnimationFrame(step); } };
  $("play").addEventListener("click", () => pause(!state.playing));
}
function begin() {
  const asked = Number((location.hash.match(/t=([\d.]+)/) || [])[1]), first = spans[0];
  $("world-caption").textContent = (tracks ? "Points below the satellites and their last 20 minutes; larger: those that look in this window. " : "No tracks: a slot is filled by another satellite each time, or the file of orbits is gone. ") + "Cross: target. Triangle: ground station.";
  go(Number.isFinite(asked) ? asked : first ? first.end : 0);
}
themes(); answer(); strip(); world(); ground(); steer();
$("looks").append(table(COLUMNS, looks, { label: "Every look" }));
begin();
