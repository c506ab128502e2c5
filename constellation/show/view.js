// Where everything is. positions: int16, base64, [N][S][3], times D.scale = km, Earth-fixed.
const raw = Uint8Array.from(atob(D.positions), c => c.charCodeAt(0));
const P = new Int16Array(raw.buffer);
const S = D.names.length, T = D.times.length, STEP = D.times[1] - D.times[0], END = D.times[T - 1];
const N = P.length / (3 * S), TRACK = D.trackStep;  // samples of the tracks
const RAD = Math.PI / 180, EARTH_KM = 6378.137;
const here = new Float64Array(3 * S);  // positions now, km
const seat = new Float32Array(2 * S), shown = new Uint8Array(S);  // on the canvas, px; whether seen
let now = D.times[0], playing = true, globe = innerWidth < 600, spin = [D.region[0], Math.max(-60, Math.min(60, D.region[1]))], mouse = null;
let zoom = 1, pan = [0, 0], chosen = -1;  // pan: of the map, px; chosen: a satellite

const $ = id => document.getElementById(id);
const css = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
let SAT, OBS, LINK, CONTACT, ROUTE, DIM, TEXT, BACK, SEA, LAND, COAST, GRID, ROW;
function colours() {  // of the style sheet, light or dark as the reader wants
  [SAT, OBS, LINK, CONTACT, ROUTE, DIM, TEXT, BACK, SEA, LAND, COAST, GRID, ROW] =
    ["sat", "obs", "link", "contact", "route", "dim", "text", "back", "sea", "land", "coast", "grid", "row"].map(css);
  drawnFor = "";
}
let drawnFor = "";  // what the kept ground shows

function locate() {  // linear between samples, then back to the right height
  const place = (now - D.times[0]) / TRACK, k = Math.min(N - 2, Math.floor(place)), u = place - k;
  for (let s = 0; s < S; s++) {
    const a = 3 * (k * S + s), b = a + 3 * S;
    let n = 0, ra = 0, rb = 0;
    for (let i = 0; i < 3; i++) {
      const v = (1 - u) * P[a + i] + u * P[b + i];
      here[3 * s + i] = v; n += v * v; ra += P[a + i] * P[a + i]; rb += P[b + i] * P[b + i];
    }
    const f = D.scale * ((1 - u) * Math.sqrt(ra) + u * Math.sqrt(rb)) / Math.sqrt(n);
    for (let i = 0; i < 3; i++) here[3 * s + i] *= f;
  }
}
const instant = () => Math.min(T - 1, Math.floor((now - D.times[0]) / STEP + 1e-9));
// Intervals [a, b, begin, end] as columns; `on` holds the numbers of those that hold now, `count` of them.
const columnsOf = list => ({ a: Int32Array.from(list, e => e[0]), b: Int32Array.from(list, e => e[1]), begin: Float64Array.from(list, e => e[2]), end: Float64Array.from(list, e => e[3]), on: new Int32Array(list.length), count: 0, from: Infinity, until: -Infinity });
const LINKS = columnsOf(D.links), CONTACTS = columnsOf(D.contacts);
function pick(all) {  // looked through again only when one begins or ends
  if (now >= all.from && now < all.until) return all;
  const { begin, end, on } = all;
  let count = 0, from = -Infinity, until = Infinity;
  for (let i = 0; i < begin.length; i++) {
    if (begin[i] > now) { if (begin[i] < until) until = begin[i]; continue; }
    if (end[i] <= now) { if (end[i] > from) from = end[i]; continue; }
    on[count++] = i;
    if (begin[i] > from) from = begin[i];
    if (end[i] < until) until = end[i];
  }
  all.count = count; all.from = from; all.until = until;
  return all;
}
const SEEING = D.participants.map(list => list.filter(s => s >= 0));
const observers = () => SEEING[instant()];
const lonlat = (x, y, z) => [Math.atan2(y, x) / RAD, Math.asin(z / Math.hypot(x, y, z)) / RAD];
const onEarth = (lon, lat) => [EARTH_KM * Math.cos(lat * RAD) * Math.cos(lon * RAD), EARTH_KM * Math.cos(lat * RAD) * Math.sin(lon * RAD), EARTH_KM * Math.sin(lat * RAD)];
const station = onEarth(D.station[0], D.station[1]), region = onEarth(D.region[0], D.region[1]);
const at = s => [here[3 * s], here[3 * s + 1], here[3 * s + 2]];
const clockText = t => new Date(D.epochMs + 1000 * t).toISOString().slice(0, 19).replace("T", " ");

// A view turns Earth-fixed km into [x, y, visible]; `fix` leaves them in X, Y, SEEN, for the loop over all.
let X = 0, Y = 0, SEEN = true;
function mapView(w, h) {
  const k = zoom * Math.min(w / 360, h / 180), slack = [Math.max(0, 180 * k - w / 2), Math.max(0, 90 * k - h / 2)];
  pan = pan.map((v, i) => Math.max(-slack[i], Math.min(slack[i], v)));  // the map's edge comes no further than the window's
  const ox = w / 2 + pan[0], oy = h / 2 + pan[1];
  const fix = (x, y, z) => { X = ox + k * Math.atan2(y, x) / RAD; Y = oy - k * Math.asin(z / Math.sqrt(x * x + y * y + z * z)) / RAD; SEEN = true; };
  return { flat: true, k, ox, oy, key: [k, ox, oy], fix, put: p => { fix(p[0], p[1], p[2]); return [X, Y, SEEN]; } };
}
function globeView(w, h) {
  const top = 1.02 * D.radius, k = zoom * Math.min(w, h) / 2 / top, [lon, lat] = [spin[0] * RAD, spin[1] * RAD];
  const cl = Math.cos(lon), sl = Math.sin(lon), cp = Math.cos(lat), sp = Math.sin(lat);
  const fix = (px, py, pz) => {
    const x = cl * px + sl * py, y = -sl * px + cl * py, depth = cp * x + sp * pz, up = -sp * x + cp * pz;
    X = w / 2 + k * y; Y = h / 2 - k * up; SEEN = depth > 0 || y * y + up * up > EARTH_KM * EARTH_KM;
  };
  return { flat: false, k, ox: w / 2, oy: h / 2, key: [k, ...spin], fix, put: p => { fix(p[0], p[1], p[2]); return [X, Y, SEEN]; } };
}
const seen = () => { const w = $("world").clientWidth, h = $("world").clientHeight; return globe ? globeView(w, h) : mapView(w, h); };
function fit(canvas) {
  const r = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * r) || canvas.height !== Math.round(h * r)) { canvas.width = Math.round(w * r); canvas.height = Math.round(h * r); }
  const g = canvas.getContext("2d"); g.setTransform(r, 0, 0, r, 0, 0); g.clearRect(0, 0, w, h);
  return [g, w, h];
}
function trace(g, view, points, close) {  // a line on the sphere; lifts the pen where hidden or across the map's edge
  let pen = false, last = 0;
  g.beginPath();
  for (const p of close ? [...points, points[0]] : points) {
    const [x, y, there] = view.put(p);
    if (there && pen && !(view.flat && Math.abs(x - last) > 180 * view.k)) g.lineTo(x, y); else g.moveTo(x, y);
    pen = there; last = x;
  }
  g.stroke();
}
const rings = D.coast.map(r => { const out = []; for (let i = 0; i < r.length; i += 2) out.push(onEarth(r[i] / 10, r[i + 1] / 10)); return out; });
const flatRings = D.coast.map(r => {  // longitudes unwrapped, so that no edge jumps across the map; round a pole, closed along it
  const out = [[r[0] / 10, r[1] / 10]];
  for (let i = 2; i < r.length; i += 2) { const last = out[out.length - 1][0]; out.push([last + ((r[i] / 10 - last + 540) % 360 + 360) % 360 - 180, r[i + 1] / 10]); }
  const first = out[0], last = out[out.length - 1], back = last[0] + ((first[0] - last[0] + 540) % 360 + 360) % 360 - 180;
  if (Math.abs(back - first[0]) > 180) { const pole = first[1] > 0 ? 90 : -90; out.push([back, first[1]], [back, pole], [first[0], pole]); }
  return out;
});
const grid = [];
for (let lon = -180; lon <= 180; lon += 30) { const l = []; for (let lat = -90; lat <= 90; lat += 3) l.push(onEarth(lon, lat)); grid.push(l); }
for (let lat = -60; lat <= 60; lat += 30) { const l = []; for (let lon = -180; lon <= 180; lon += 3) l.push(onEarth(lon, lat)); grid.push(l); }

function land(g, view) {
  g.fillStyle = LAND; g.strokeStyle = COAST; g.lineWidth = 0.8;
  if (view.flat) {
    for (const r of flatRings) for (const turn of [-360, 0, 360]) {
      g.beginPath();
      for (const [lon, lat] of r) g.lineTo(view.ox + view.k * (lon + turn), view.oy - view.k * lat);
      g.closePath(); g.fill(); g.stroke();
    }
  } else for (const r of rings) trace(g, view, r, true);
}
let kept = null;  // the ground as drawn last: it changes with the view, not with the time
function ground(g, view, w, h) {
  const r = window.devicePixelRatio || 1, wanted = [w, h, r, globe, SEA, ...view.key].join();
  if (wanted !== drawnFor) {
    kept ??= document.createElement("canvas");
    kept.width = Math.round(w * r); kept.height = Math.round(h * r);
    const k = kept.getContext("2d"); k.setTransform(r, 0, 0, r, 0, 0);
    k.fillStyle = SEA; k.beginPath();
    if (view.flat) k.rect(view.ox - 180 * view.k, view.oy - 90 * view.k, 360 * view.k, 180 * view.k);
    else k.arc(w / 2, h / 2, view.k * EARTH_KM, 0, 7);
    k.fill(); if (view.flat) k.clip();
    land(k, view);
    k.strokeStyle = GRID; k.lineWidth = 1; for (const l of grid) trace(k, view, l, false);
    drawnFor = wanted;
  }
  g.drawImage(kept, 0, 0, w, h);
}
function segment(g, view, p, q) {  // straight in space; on the map cut at the edge
  join(g, view, ...p, ...q);
}
function join(g, view, px, py, pz, qx, qy, qz) {
  view.fix(px, py, pz);
  let x = X, y = Y;
  const there = SEEN;
  view.fix(qx, qy, qz);
  if (!view.flat) {
    if (there && SEEN) { g.moveTo(x, y); g.lineTo(X, Y); }
    return;
  }
  // A bend is seen where the way is long on the canvas: one piece for every 24 px; all at the edge and the poles
  const jump = 180 * view.k, long = Math.abs(X - x) + Math.abs(Y - y), pieces = Math.abs(X - x) > jump ? 12 : Math.max(1, Math.min(12, Math.ceil(long / 24)));
  g.moveTo(x, y);
  for (let i = 1; i <= pieces; i++) {
    const u = i / pieces, v = 1 - u;
    view.fix(v * px + u * qx, v * py + u * qy, v * pz + u * qz);
    if (Math.abs(X - x) < jump) g.lineTo(X, Y); else g.moveTo(X, Y);
    x = X; y = Y;
  }
}
function between(g, view, a, b) {  // two satellites, by number
  join(g, view, here[3 * a], here[3 * a + 1], here[3 * a + 2], here[3 * b], here[3 * b + 1], here[3 * b + 2]);
}
function dot(g, view, p, size, color) {
  const [x, y, there] = view.put(p);
  if (!there) return;
  g.fillStyle = color; g.beginPath(); g.arc(x, y, size, 0, 7); g.fill();
}
function label(g, view, p, text, color) {
  const [x, y, there] = view.put(p);
  if (!there) return;
  g.font = "12px system-ui, sans-serif"; g.lineWidth = 3; g.strokeStyle = BACK; g.strokeText(text, x + 8, y - 7);
  g.fillStyle = color; g.fillText(text, x + 8, y - 7);
}
function satellites(g, view) {  // a square each: a thousand circles a frame are too many for a phone
  const size = (S > 3000 ? 2 : 3.2) * Math.min(2, Math.sqrt(zoom));
  g.fillStyle = SAT;
  for (let s = 0; s < S; s++) {
    view.fix(here[3 * s], here[3 * s + 1], here[3 * s + 2]);
    seat[2 * s] = X; seat[2 * s + 1] = Y; shown[s] = SEEN ? 1 : 0;
    if (SEEN) g.fillRect(X - size / 2, Y - size / 2, size, size);
  }
}
function world() {
  const [g, w, h] = fit($("world")), view = seen(), watch = observers();
  ground(g, view, w, h);
  g.save();
  if (view.flat) { g.beginPath(); g.rect(view.ox - 180 * view.k, view.oy - 90 * view.k, 360 * view.k, 180 * view.k); g.clip(); }
  satellites(g, view);
  const links = pick(LINKS), contacts = pick(CONTACTS), many = links.count > 500;
  g.strokeStyle = LINK; g.globalAlpha = many ? 0.25 : 0.8; g.lineWidth = many ? 0.7 : 1.4;
  g.beginPath(); for (let i = 0; i < links.count; i++) between(g, view, links.a[links.on[i]], links.b[links.on[i]]); g.stroke();
  g.strokeStyle = CONTACT; g.globalAlpha = 0.75; g.lineWidth = 1.1;
  g.beginPath(); for (let i = 0; i < contacts.count; i++) segment(g, view, station, at(contacts.a[contacts.on[i]])); g.stroke();
  g.globalAlpha = 1;
  for (let i = 0; i < contacts.count; i++) dot(g, view, at(contacts.a[contacts.on[i]]), 2.4, CONTACT);
  for (const s of watch) dot(g, view, at(s), 4, OBS);
  dot(g, view, station, 5, CONTACT); label(g, view, station, D.stationName, TEXT);
  g.strokeStyle = OBS; g.lineWidth = 1.5;
  const [x, y, there] = view.put(region); if (there) { g.beginPath(); g.moveTo(x - 7, y); g.lineTo(x + 7, y); g.moveTo(x, y - 7); g.lineTo(x, y + 7); g.stroke(); }
  label(g, view, region, "region", OBS);
  picked(g, view);
  g.restore();
  hover(watch);
  return [watch, links, contacts];
}
function picked(g, view) {  // the chosen satellite, its way over the ground in the next half orbit, the route
  g.strokeStyle = ROUTE; g.fillStyle = ROUTE;
  const path = route.path;
  if (path.length > 1) {
    g.lineWidth = 3; g.beginPath();
    for (let i = 1; i < path.length; i++) segment(g, view, at(path[i - 1]), at(path[i]));
    g.stroke();
    for (const s of path) dot(g, view, at(s), 3, ROUTE);
    for (const s of [path[0], path[path.length - 1]]) if (s !== chosen) label(g, view, at(s), D.names[s], TEXT);
  }
  if (chosen < 0) return;
  const k = Math.floor((now - D.times[0]) / TRACK), ahead = [at(chosen)];
  for (let i = k + 1; i < Math.min(N, k + 2 + 2700 / TRACK); i++) { const a = 3 * (i * S + chosen); ahead.push([P[a], P[a + 1], P[a + 2]].map(v => v * D.scale)); }
  g.strokeStyle = ROUTE; g.lineWidth = 1.2; g.setLineDash([4, 4]); trace(g, view, ahead, false); g.setLineDash([]);
  const [x, y, there] = view.put(at(chosen));
  if (there) { g.lineWidth = 2; g.beginPath(); g.arc(x, y, 9, 0, 7); g.stroke(); label(g, view, at(chosen), D.names[chosen], TEXT); }
}
function nearestTo(x, y, within) {  // the satellite under a pointer; -1: none
  let best = -1, near = within * within;
  for (let s = 0; s < S; s++) { const d = (seat[2 * s] - x) ** 2 + (seat[2 * s + 1] - y) ** 2; if (shown[s] && d < near) { near = d; best = s; } }
  return best;
}
function whereText(s) {
  const p = at(s), [lon, lat] = lonlat(...p);
  return `${Math.abs(lat).toFixed(1)} ${lat < 0 ? "S" : "N"} ${Math.abs(lon).toFixed(1)} ${lon < 0 ? "W" : "E"}, ${(Math.hypot(...p) - EARTH_KM).toFixed(0)} km`;
}
function hover(watch) {
  const tip = $("tip"), best = mouse ? nearestTo(...mouse) : -1;
  tip.style.display = best < 0 ? "none" : "block";
  if (best < 0) return;
  const text = `${D.names[best]}${watch.includes(best) ? ", observes" : ""}\n${whereText(best)}`;
  if (tip.textContent !== text) tip.textContent = text;
  tip.style.left = Math.max(0, Math.min(mouse[0] + 14, $("world").clientWidth - tip.offsetWidth - 4)) + "px"; tip.style.top = Math.min(mouse[1] + 10, $("world").clientHeight - tip.offsetHeight - 4) + "px";
}
