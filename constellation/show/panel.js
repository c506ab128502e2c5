// What stands beside the map: facts, the chosen satellite, a route, contact windows.
const byOf = new Map(); for (const e of D.contacts) { if (!byOf.has(e[0])) byOf.set(e[0], []); byOf.get(e[0]).push(e); }
const numberOf = new Map(D.names.map((name, s) => [name, s]));
$("names").append(...D.names.map(name => { const o = document.createElement("option"); o.value = name; return o; }));

function list(id, rows) {  // a definition list; touched only where it says something else
  const text = JSON.stringify(rows), dl = $(id);
  if (dl.dataset.text === text) return;
  dl.dataset.text = text;
  dl.replaceChildren(...rows.flatMap(([name, value]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = value;
    return [dt, dd];
  }));
}
function facts(watch, links, contacts) {
  const mine = new Set(watch);
  let both = 0, ends = 0;
  for (let i = 0; i < contacts.count; i++) both += mine.has(contacts.a[contacts.on[i]]);
  for (let i = 0; i < links.count; i++) ends += links.a[links.on[i]] === chosen || links.b[links.on[i]] === chosen;
  list("facts", [["satellites", S], ["observing the region", watch.length], [D.linksNote, links.count],
    ["in contact with " + D.stationName, contacts.count], ["of them observing", both], ["link rule", D.rule], ["noise formula", D.noise]]);
  if (chosen < 0) { list("about", []); return; }
  const windows = byOf.get(chosen) || [], open = windows.find(e => e[2] <= now && now < e[3]), next = windows.find(e => e[2] > now);
  list("about", [["where", whereText(chosen)], ["observes the region", mine.has(chosen) ? "yes" : "no"],
    ["links drawn", ends],
    [D.stationName, open ? `in contact until ${clockText(open[3]).slice(11)}` : next ? `next ${clockText(next[2]).slice(5, 16)}` : "none until the end"],
    ["contact windows", windows.length]]);
}
function choose(s) {
  chosen = s; $("one").value = s < 0 ? "" : D.names[s];
  if (s >= 0 && $("which").value === "all") $("which").value = "one";
  if (s < 0 && $("which").value === "one") $("which").value = "all";
  fill(ROWS); redraw();
}

// Routes of least delay, as constellation/links/routing.py: hop = d / c + bits / rate(d), relays on top.
let route = { key: "", path: [] };
const spot = (k, s) => { const a = 3 * (Math.round(k * STEP / TRACK) * S + s); return [P[a] * D.scale, P[a + 1] * D.scale, P[a + 2] * D.scale]; };
function hop(a, b, bits) {  // [delay, km]; null where the two cannot link
  const dx = b[0] - a[0], dy = b[1] - a[1], dz = b[2] - a[2], km2 = dx * dx + dy * dy + dz * dz, net = D.network;
  if (km2 > net.reachKm * net.reachKm) return null;
  if (net.clearKm > 0) {
    const u = Math.max(0, Math.min(1, -(a[0] * dx + a[1] * dy + a[2] * dz) / Math.max(km2, 1e-12)));
    if ((a[0] + u * dx) ** 2 + (a[1] + u * dy) ** 2 + (a[2] + u * dz) ** 2 < net.clearKm ** 2) return null;
  }
  const rate = net.fixedBps || net.bandBps * Math.log1p(net.snr / Math.max(km2, 1e-6)) / Math.LN2;
  return [Math.sqrt(km2) * 1000 / net.lightMs, bits / rate];
}
function leastDelay(k, from, to, bytes) {  // at instant k: {path, fly, send, relay} in seconds; path empty: no way
  const net = D.network, bits = 8 * bytes, where = Array.from({ length: S }, (_, s) => spot(k, s));
  let beside = null;
  if (net.routing !== "reach") {
    beside = Array.from({ length: S }, () => []);
    const time = D.times[k], all = net.routing === "links" ? D.links : net.routing;
    for (const e of all) if (e[2] <= time && time < e[3]) { beside[e[0]].push(e[1]); beside[e[1]].push(e[0]); }
  }
  const cost = new Float64Array(S).fill(Infinity), came = new Int32Array(S).fill(-1), done = new Uint8Array(S);
  cost[from] = 0;
  for (;;) {
    let best = -1;
    for (let s = 0; s < S; s++) if (!done[s] && cost[s] < (best < 0 ? Infinity : cost[best])) best = s;
    if (best < 0 || best === to) break;
    done[best] = 1;
    const relax = s => {
      if (done[s]) return;
      const h = hop(where[best], where[s], bits);
      if (h && cost[best] + h[0] + h[1] + net.relayInRoute < cost[s]) { cost[s] = cost[best] + h[0] + h[1] + net.relayInRoute; came[s] = best; }
    };
    if (beside) beside[best].forEach(relax); else for (let s = 0; s < S; s++) relax(s);
  }
  const path = [];
  if (Number.isFinite(cost[to])) for (let s = to; s >= 0; s = came[s]) path.unshift(s);
  const hops = path.slice(1).map((s, i) => hop(where[path[i]], where[s], bits));
  return { path, fly: hops.reduce((sum, h) => sum + h[0], 0), send: hops.reduce((sum, h) => sum + h[1], 0), relay: Math.max(0, path.length - 2) * net.relayS };
}
function findRoute() {
  const names = [$("from").value, $("to").value], [from, to] = names.map(name => numberOf.get(name)), bytes = Number($("size").value);
  const key = [instant(), from, to, bytes].join();
  if (key === route.key) return;
  route = { key, path: [] };
  if (names.some(name => !name)) { $("route").textContent = "Choose two satellites, or tap two one after the other."; return; }
  if (from === undefined || to === undefined) { $("route").textContent = `no satellite is called ${names[from === undefined ? 0 : 1]}`; return; }
  if (from === to) { $("route").textContent = "the two ends are one satellite"; return; }
  if (!D.network.routing) { $("route").textContent = "too many links to keep in this page: fewer hours, or topology.rule=grid"; return; }
  route = { key, ...leastDelay(instant(), from, to, bytes) };
  const ms = s => (1e3 * s).toFixed(2), all = route.fly + route.send + route.relay;
  $("route").textContent = route.path.length ? `${ms(all)} ms over ${route.path.length - 1} hop${route.path.length > 2 ? "s" : ""}: propagation ${ms(route.fly)}, transmission ${ms(route.send)}, relays ${ms(route.relay)}; by ${route.path.map(s => D.names[s]).join(" \u2192 ")}` : "undefined: no path joins the two now";
}
function farthest() {
  const watch = observers();
  let best = [-1, 0, 0];
  for (const a of watch) for (const b of watch) if (a < b) { const [p, q] = [at(a), at(b)], d = Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]); if (d > best[0]) best = [d, a, b]; }
  if (best[0] < 0) { $("route").textContent = "fewer than two satellites observe now"; return; }
  $("from").value = D.names[best[1]]; $("to").value = D.names[best[2]]; redraw();
}

const ROW_PX = 14;  // rows that a finger can tell apart
let ganttFor = "";  // it moves a pixel in minutes: drawn only where it would look different
function gantt(watch) {
  const box = $("gantt"), key = [watch, chosen, BACK, box.clientWidth, box.clientHeight, Math.round(box.clientWidth * (now - D.times[0]) / (END - D.times[0]))].join();
  if (key === ganttFor) return;
  ganttFor = key;
  $("timeline").style.minHeight = Math.max(220, ROW_PX * Math.min(32, watch.length) + 18) + "px";
  const [g, w, h] = fit($("gantt")), left = Math.min(110, w * 0.32), wide = w - left - 6, bottom = h - 18, X = t => left + wide * (t - D.times[0]) / (END - D.times[0]);
  const rows = watch.slice(0, 32), high = Math.max(ROW_PX, Math.min(22, bottom / Math.max(1, rows.length)));
  g.font = "11px system-ui, sans-serif"; g.textBaseline = "middle";
  rows.forEach((s, i) => {
    const y = i * high;
    g.fillStyle = s === chosen ? ROUTE : DIM; if (high > 9) g.fillText(D.names[s].slice(0, 16), 0, y + high / 2);
    g.fillStyle = ROW; g.fillRect(left, y + 1, wide, high - 2);
    g.fillStyle = CONTACT; for (const e of byOf.get(s) || []) g.fillRect(X(e[2]), y + 2, Math.max(1.5, X(e[3]) - X(e[2])), high - 4);
  });
  g.strokeStyle = TEXT; g.lineWidth = 1; g.beginPath(); g.moveTo(X(now), 0); g.lineTo(X(now), rows.length * high); g.stroke();
  g.fillStyle = DIM; g.fillText(clockText(D.times[0]).slice(11, 16), left, rows.length * high + 10); const tail = clockText(END).slice(11, 16) + " UTC"; g.fillText(tail, w - g.measureText(tail).width, rows.length * high + 10);
}

const ROWS = 100;  // of the table at first
let filled = 0;
function wanted() {
  if ($("which").value === "one") return byOf.get(chosen) || [];
  if ($("which").value === "all") return D.contacts;
  const mine = new Set(observers());
  return D.contacts.filter(e => mine.has(e[0]));
}
const utc = t => new Date(D.epochMs + Math.round(1000 * t)).toISOString();
const record = e => ({ satellite: D.names[e[0]], rise_utc: utc(e[2]), set_utc: utc(e[3]), rise_s: e[2], set_s: e[3], duration_s: Math.round(1000 * (e[3] - e[2])) / 1000, max_elevation_deg: e[4], capacity_bytes: e[5] });
function fill(count) {
  const rows = wanted(), body = $("windows").tBodies[0];
  filled = Math.min(count, rows.length);
  body.replaceChildren(...rows.slice(0, filled).map(e => {
    const tr = document.createElement("tr");
    for (const text of [D.names[e[0]], clockText(e[2]).slice(5), clockText(e[3]).slice(11), ((e[3] - e[2]) / 60).toFixed(1), e[4].toFixed(0) + "\u00b0", (e[5] / 1e6).toFixed(0)]) { const td = document.createElement("td"); td.textContent = text; tr.append(td); }
    return tr;
  }));
  $("more").hidden = filled >= rows.length;
  $("count").textContent = rows.length ? `${filled} of ${rows.length}` : $("which").value === "one" && chosen < 0 ? "no satellite is chosen" : "none in this time";
}
function save(name, text, kind) {
  const link = document.createElement("a");
  link.setAttribute("href", URL.createObjectURL(new Blob([text], { type: kind })));
  link.download = name; link.click(); URL.revokeObjectURL(link.getAttribute("href"));
}
const cell = v => /[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v;
const columns = ["satellite", "rise_utc", "set_utc", "rise_s", "set_s", "duration_s", "max_elevation_deg", "capacity_bytes"];
const asCsv = rows => [columns.join(), ...rows.map(r => columns.map(c => cell(r[c])).join())].join("\n") + "\n";
