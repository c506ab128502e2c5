// A page's script with as much of a browser around it as it asks for; prints what the reader would see.
const fs = require("fs"), nodes = new Map(), frames = [], media = [];
const draw = new Proxy({}, { get: (t, k) => k === "measureText" ? () => ({ width: 10 }) : t[k] ?? (() => {}), set: (t, k, v) => { t[k] = v; return true; } });
class Node {
  constructor(id) { this.id = id; this.style = {}; this.on = {}; this.clientWidth = 360; this.clientHeight = 300; this.value = 60; this.offsetWidth = 80; }
  addEventListener(kind, f) { (this.on[kind] ??= []).push(f); }
  fire(kind, e) { for (const f of this.on[kind] ?? []) f({ type: kind, preventDefault() {}, pointerId: 1, ...e }); }
  click() { this.fire("click", {}); }
  getContext() { return draw; } setPointerCapture() {} getBoundingClientRect() { return { left: 0, top: 0 }; }
  replaceChildren() {} insertRow() { const cells = []; return { cells, insertCell: () => { const c = {}; cells.push(c); return c; } }; }
}
const get = id => { if (!nodes.has(id)) nodes.set(id, new Node(id)); return nodes.get(id); };
let light = false;
global.document = { getElementById: get, documentElement: {}, addEventListener() {} };
global.window = { devicePixelRatio: 1, addEventListener() {}, matchMedia: () => ({ addEventListener: (k, f) => media.push(f) }) };
global.getComputedStyle = () => ({ getPropertyValue: name => name + (light ? " light" : " dark") });
global.location = { hash: "#pause" };
global.requestAnimationFrame = f => frames.push(f);
const page = fs.readFileSync(process.argv[2], "utf8");
const script = page.slice(page.indexOf("<script>") + 8, page.indexOf("</script>"));
const inside = eval(script + "; ({ put: s => (globe ? globeView : mapView)(360, 300).put(at(s)), state: () => ({ zoom, pan, SEA }) })");
let tick = 0;
const frame = () => frames.shift()((tick += 16));
frame();
const world = get("world"), out = {};
const [x, y] = inside.put(0);
const touch = (kind, id, x, y) => world.fire(kind, { pointerType: "touch", pointerId: id, clientX: x, clientY: y });
touch("pointerdown", 1, x + 20, y); touch("pointerup", 1, x + 20, y); touch("pointerleave", 1, x + 20, y); frame();
out.tap = [get("tip").style.display, get("tip").textContent];
touch("pointerdown", 1, 100, 100); touch("pointermove", 1, 160, 100); touch("pointerup", 1, 160, 100); frame();
out.dragged = get("tip").style.display;
touch("pointerdown", 1, 150, 150); touch("pointerdown", 2, 210, 150);
touch("pointermove", 2, 270, 150); touch("pointerup", 1, 150, 150); touch("pointerup", 2, 270, 150); frame();
out.pinched = inside.state().zoom;
get("out").click(); out.smaller = inside.state().zoom;
world.fire("wheel", { deltaY: -400, clientX: 10, clientY: 10 }); out.wheeled = inside.state().zoom;
out.dark = inside.state().SEA; light = true; media.forEach(f => f()); out.light = inside.state().SEA;
get("shape").click(); frame();
touch("pointerdown", 1, 100, 100); touch("pointermove", 1, 130, 120); touch("pointerup", 1, 130, 120); frame();
out.rows = get("timeline").style.minHeight;
console.log(JSON.stringify(out));
