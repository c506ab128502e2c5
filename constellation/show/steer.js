// What the reader does.
const TOLD_MS = 100;  // while it plays, words and the side follow ten times a second: what is read needs no more
let before = null, dirty = true, toldAt = -Infinity;
function draw(words = true) {
  locate(); findRoute();
  const about = world();
  if (!words) return;
  gantt(about[0]); facts(...about);
  $("slider").value = now; say("clock", clockText(now) + " UTC");
}
function frame(tick) {
  const moves = playing && before !== null;
  if (moves) { now += Math.min(0.1, (tick - before) / 1000) * Number($("speed").value); if (now >= END) now = D.times[0]; }
  before = tick;
  if (dirty || moves) {
    const words = dirty || tick - toldAt >= TOLD_MS;
    if (words) toldAt = tick;
    dirty = false; draw(words);
  }
  requestAnimationFrame(frame);
}
function measured(frames) {  // what a frame costs here: drawing, and a pixel read back, which waits for the raster
  const g = $("world").getContext("2d"), took = [];
  for (let i = 0; i < frames; i++) {
    const began = performance.now();
    now = D.times[0] + i % Math.floor(END - D.times[0]); draw(i % 6 === 0); g.getImageData(0, 0, 1, 1);
    took.push(performance.now() - began);
  }
  took.sort((x, y) => x - y);
  return `median ${took[frames >> 1].toFixed(1)} ms, 95 % below ${took[Math.floor(0.95 * frames)].toFixed(1)} ms, of ${frames} frames`;
}
function say(id, text) { if ($(id).textContent !== text) $(id).textContent = text; }
const redraw = () => { dirty = true; };
function toggle() { playing = !playing; $("play").textContent = playing ? "Pause" : "Play"; }
$("slider").min = D.times[0]; $("slider").max = END;
$("slider").addEventListener("input", e => { now = Math.min(Number(e.target.value), END - 1e-6); if (playing) toggle(); redraw(); });
$("slider").addEventListener("change", () => { if ($("which").value === "observers") fill(ROWS); });
$("play").addEventListener("click", toggle);
const shaped = () => { $("shape").textContent = globe ? "Map" : "Globe"; redraw(); };
$("shape").addEventListener("click", () => { globe = !globe; shaped(); });

const fingers = new Map();  // pointers that are down: id -> [x, y]
let moved = 0, apart = 0;
function zoomBy(factor, x, y) {  // what lies under (x, y) stays there
  const old = zoom, [w, h] = [$("world").clientWidth, $("world").clientHeight];
  zoom = Math.max(1, Math.min(40, zoom * factor));
  const f = zoom / old;
  pan = [x - w / 2 - f * (x - w / 2 - pan[0]), y - h / 2 - f * (y - h / 2 - pan[1])];
  redraw();
}
const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
const reach = e => e.pointerType === "touch" ? 28 : 10;  // px: a fingertip is wider than a mouse's point
const place = e => { const r = $("world").getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; };
function tapped(s) {  // the first tap chooses and begins a route, the second ends it
  if (s >= 0 && chosen >= 0 && s !== chosen && !$("to").value) $("to").value = D.names[s];
  else if (s >= 0) { $("from").value = D.names[s]; $("to").value = ""; }
  choose(s);
}
$("world").addEventListener("pointerdown", e => {
  fingers.set(e.pointerId, place(e)); $("world").setPointerCapture(e.pointerId);
  if (fingers.size === 1) moved = 0; else { apart = spread(); moved = Infinity; mouse = null; }
});
function lift(e) {
  if (fingers.delete(e.pointerId) && e.type === "pointerup" && moved < 8) { mouse = [...place(e), reach(e)]; tapped(nearestTo(...mouse)); }
  redraw();
}
$("world").addEventListener("pointerup", lift);
$("world").addEventListener("pointercancel", lift);
$("world").addEventListener("pointerleave", e => { if (e.pointerType !== "touch") { mouse = null; redraw(); } });
$("world").addEventListener("pointermove", e => {
  const [x, y] = place(e), last = fingers.get(e.pointerId);
  if (e.pointerType !== "touch") mouse = [x, y, reach(e)];
  if (last) {
    const [dx, dy] = [x - last[0], y - last[1]];
    fingers.set(e.pointerId, [x, y]); moved += Math.hypot(dx, dy);
    if (fingers.size === 2) { const wide = spread(), [a, b] = [...fingers.values()]; zoomBy(wide / Math.max(1, apart), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2); apart = wide; }
    else if (globe) spin = [spin[0] - dx * 0.3 / zoom, Math.max(-90, Math.min(90, spin[1] + dy * 0.3 / zoom))];
    else pan = [pan[0] + dx, pan[1] + dy];
    if (moved >= 8 && e.pointerType === "touch") mouse = null;
  }
  redraw();
});
$("world").addEventListener("wheel", e => { e.preventDefault(); zoomBy(Math.exp(-e.deltaY / 400), ...place(e)); }, { passive: false });
const centre = () => [$("world").clientWidth / 2, $("world").clientHeight / 2];
$("in").addEventListener("click", () => zoomBy(1.5, ...centre()));
$("out").addEventListener("click", () => zoomBy(1 / 1.5, ...centre()));
$("whole").addEventListener("click", () => { zoom = 1; pan = [0, 0]; redraw(); });
document.addEventListener("keydown", e => {
  if (["INPUT", "SELECT", "BUTTON"].includes(e.target.tagName)) return;
  if (e.key === " " && e.target.id !== "side") { e.preventDefault(); toggle(); }
  if (e.key === "+") zoomBy(1.5, ...centre());
  if (e.key === "-") zoomBy(1 / 1.5, ...centre());
  if (e.key === "Escape") { $("from").value = $("to").value = ""; choose(-1); }
});

$("one").addEventListener("change", e => choose(numberOf.get(e.target.value) ?? -1));
$("none").addEventListener("click", () => { $("from").value = $("to").value = ""; choose(-1); });
for (const id of ["from", "to", "size"]) $(id).addEventListener("change", redraw);
$("farthest").addEventListener("click", farthest);
$("which").addEventListener("change", () => fill(ROWS));
$("more").addEventListener("click", () => fill(filled + 5 * ROWS));
$("csv").addEventListener("click", () => save("contacts.csv", asCsv(wanted().map(record)), "text/csv"));
$("json").addEventListener("click", () => save("contacts.json", JSON.stringify({ station: D.stationName, windows: wanted().map(record) }, null, 1), "application/json"));

const system = window.matchMedia("(prefers-color-scheme: light)");
const isLight = () => (document.documentElement.dataset.theme ?? (system.matches ? "light" : "dark")) === "light";
function themed() { colours(); $("theme").textContent = isLight() ? "Dark" : "Light"; redraw(); }
$("theme").addEventListener("click", () => { document.documentElement.dataset.theme = isLight() ? "dark" : "light"; themed(); });
system.addEventListener("change", themed);
window.addEventListener("resize", redraw);
const wish = new URLSearchParams(location.hash.slice(1));  // #t=seconds&globe&map&pause&frames=300, for links, screenshots, measurements
if (wish.has("t")) now = Math.max(D.times[0], Math.min(END - 1e-6, Number(wish.get("t")) || 0));
if (wish.has("globe")) globe = true;
if (wish.has("map")) globe = false;
if (wish.has("pause")) toggle();
if (playing && window.matchMedia("(prefers-reduced-motion: reduce)").matches) toggle();
themed(); shaped(); fill(ROWS);
if (wish.has("frames")) document.documentElement.dataset.frames = measured(Math.max(1, Math.min(10000, Number(wish.get("frames")) || 300)));
requestAnimationFrame(frame);
