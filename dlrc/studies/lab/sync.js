const own = DATA.variants[0], yours = v => v === own ? " (yours)" : "";
const label = { networks: v => `${v.rule}, ${v.noise}${yours(v)}`, schedules: v => v.schedule + yours(v), contentions: v => v.contention + yours(v) };
const alike = { networks: ["schedule", "contention"], schedules: ["noise", "rule", "contention"], contentions: ["noise", "rule", "schedule"] };
const members = set => DATA.variants.map((v, n) => n).filter(n => alike[set].every(k => DATA.variants[n][k] === own[k]));
const chosen = () => ({ p: Number($("payload").value), set: $("set").value });
const times = DATA.times_s.map(utc);
const partHues = () => { const h = hues(); return [h[0], h[1], h[2], h[5], dark() ? "#6b7690" : "#aab3c5"]; };  // control is the ground that all stand on
const time = timeAxis();
const spare = { marginLeft: 52, marginRight: 16 };

chart("overday", width => {
  const { p, set } = chosen(), rows = members(set).flatMap(n => times.map((x, t) => ({ x, y: DATA.t_round_ms[n][p][t], name: label[set](DATA.variants[n]) })));
  const known = rows.filter(r => r.y !== null), top = d3.max(known, r => r.y) ?? 1, low = d3.min(known, r => r.y) ?? 0;
  return plot({ width, height: narrow(width) ? 280 : 340, ...spare, x: time,
    y: { label: "T_round, ms", grid: true, ...(top > 5 * low && low > 0 ? { type: "log", tickFormat: "~g" } : { domain: [0, 1.05 * top] }) },
    color: { domain: members(set).map(n => label[set](DATA.variants[n])), range: hues(), legend: true },
    marks: [Plot.lineY(rows, { x: "x", y: "y", stroke: "name", strokeWidth: 1.8 }), Plot.dot(rows.filter(r => r.y !== null && times.length < 100), { x: "x", y: "y", fill: "name", r: 1.8 }),
      Plot.tip(known, Plot.pointer({ x: "x", y: "y", title: r => `${r.name}\n${isoMinute(r.x)} UTC\n${ms(r.y)}` })),
      ...(known.length ? [] : [Plot.text(["undefined: nobody hears anybody"], { frameAnchor: "middle", fontSize: 14, fill: "currentColor" })])] });
});
chart("overday_unheard", width => {
  const { p, set } = chosen(), rows = members(set).flatMap(n => times.map((x, t) => ({ x, y: DATA.unheard[n][p][t] === null ? null : 100 * DATA.unheard[n][p][t], name: label[set](DATA.variants[n]) })));
  const top = d3.max(rows, r => r.y);
  if (!top) { const say = document.createElement("p"); say.textContent = top === 0 ? "Every pair is heard at every instant, in all of these." : "There is no pair: fewer than two satellites see the region."; return say; }
  return plot({ width, height: 130, ...spare, x: time, y: { label: "pairs unheard, %", grid: true, domain: [0, Math.max(10, top)] }, color: { domain: members(set).map(n => label[set](DATA.variants[n])), range: hues() },
    marks: [Plot.lineY(rows, { x: "x", y: "y", stroke: "name", strokeWidth: 1.6, curve: "step-after" })] });
});
const meanParts = (n, p) => DATA.parts.map((_, k) => mean(DATA.parts_ms[n][p].map(at => at[k])));
function stacked(width, bars) {  // bars of {name, parts}
  const rows = bars.flatMap(b => DATA.parts.map((part, k) => ({ name: b.name, part, y: b.parts[k] }))), totals = bars.map(b => ({ name: b.name, unheard: b.unheard, y: b.parts.includes(null) ? null : d3.sum(b.parts) }));
  const room = Math.min(width / 3, 8 + 7 * d3.max(bars, b => b.name.length)), top = d3.max(totals, t => t.y) || 1;
  return plot({ width, height: 62 + 30 * bars.length, marginLeft: room, marginRight: bars.some(b => b.unheard > 0) ? 150 : 70, x: { label: "ms, mean over the day", domain: [0, top], nice: false, ticks: Math.max(2, width / 110) }, y: { label: null, domain: bars.map(b => b.name) },
    color: { domain: DATA.parts, range: partHues(), legend: true },
    marks: [Plot.barX(rows.filter(r => r.y !== null), { x: "y", y: "name", fill: "part", order: ["control", "propagation", "transmission", "relay", "waiting"], insetTop: 3, insetBottom: 3, title: r => `${r.part}: ${ms(r.y)}` }),
      Plot.text(totals, { x: t => t.y ?? 0, y: "name", text: t => t.y === null ? "undefined" : ms(t.y) + (t.unheard > 0 ? `, ${share(t.unheard)} unheard` : ""), textAnchor: "start", dx: 5, fill: "currentColor" })] });
}
chart("bypayload", width => stacked(width, DATA.payloads.map((one, p) => ({ name: one.label, parts: meanParts(0, p), unheard: mean(DATA.unheard[0][p]) }))));
chart("byvariant", width => { const { p, set } = chosen(); return stacked(width, members(set).map(n => ({ name: label[set](DATA.variants[n]), parts: meanParts(n, p), unheard: mean(DATA.unheard[n][p]) }))); });
chart("partsday", width => {
  const { p } = chosen(), n = Number($("variant").value), order = ["control", "propagation", "transmission", "relay", "waiting"];
  const rows = times.flatMap((x, t) => order.map(part => ({ x, part, y: DATA.parts_ms[n][p][t][DATA.parts.indexOf(part)] })));
  if (rows.every(r => r.y === null)) { const say = document.createElement("p"); say.textContent = "Undefined: nobody hears anybody."; return say; }
  const step = times.length > 1 ? (times[1] - times[0]) : 3600e3;
  return plot({ width, height: narrow(width) ? 240 : 280, ...spare, x: time, y: { label: `${DATA.payloads[p].label}, ms`, grid: true }, color: { domain: DATA.parts, range: partHues(), legend: true },
    marks: [Plot.rectY(rows.filter(r => r.y !== null), { x1: r => r.x, x2: r => new Date(+r.x + step), y: "y", fill: "part", order, title: r => `${isoMinute(r.x)} UTC\n${r.part}: ${ms(r.y)}` }), Plot.ruleY([0])] });
});
if (DATA.hiding.length) {
  const wanted = () => DATA.hiding.find(h => h.codec === $("codec").value && h.payload === Number($("hidden").value) && h.overlap === $("overlap").value);
  const series = h => times.map((x, t) => { const y = DATA.t_round_ms[0][h.payload][t]; return { x, y, out: y === null ? null : y - h.beside_ms }; });
  chart("hidechart", width => {
    const h = wanted(), rows = series(h), bad = rows.filter(r => r.out > 0), [line, , , , , mark] = hues();
    const beside = `${h.codec}: ${ms(h.beside_ms)}`, top = d3.max([...rows.map(r => r.y), h.beside_ms]), low = d3.min([...rows.filter(r => r.y !== null).map(r => r.y), h.beside_ms]);
    return plot({ width, height: 260, ...spare, x: time, y: { label: "ms", grid: true, ...(top > 6 * low ? { type: "log", tickFormat: "~g", domain: [0.7 * low, 1.3 * top] } : { domain: [0, 1.15 * top] }) },
      marks: [Plot.lineY(rows, { x: "x", y: "y", stroke: line, strokeWidth: 1.8 }), Plot.ruleY([h.beside_ms], { stroke: hues()[1], strokeWidth: 2, strokeDasharray: "6 3" }),
        Plot.text([h.beside_ms], { x: () => times[0], y: d => d, text: () => `modelling of ${beside}`, textAnchor: "start", dy: -8, fill: "currentColor" }),
        Plot.dot(bad, { x: "x", y: "y", fill: mark, r: 3 }), Plot.tip(rows.filter(r => r.y !== null), Plot.pointerX({ x: "x", y: "y", title: r => `${isoMinute(r.x)} UTC\n${ms(r.y)}\n${r.out > 0 ? "sticks out by " : "hidden with to spare "}${ms(Math.abs(r.out))}` }))] });
  });
  const instants = () => { const h = wanted(); return series(h).filter(r => r.y === null || r.out > 0).map(r => ({ codec: h.codec, overlap: h.overlap, payload: DATA.payloads[h.payload].label, utc: r.x.toISOString(), t_round_ms: r.y, modelling_ms: h.beside_ms, sticks_out_ms: r.out })); };
  const list = () => {
    const found = instants(), all = times.length;
    $("instants_say").textContent = found.length ? `${found.length} of ${all} instants are not hidden or undefined` : `all ${all} instants are hidden`;
    fillTable("instants", found.slice(0, 300).map(r => [[isoMinute(new Date(r.utc))], [ms(r.t_round_ms), r.t_round_ms === null ? "undefined" : "", r.t_round_ms], [ms(r.modelling_ms), "", r.modelling_ms], [ms(r.sticks_out_ms), r.sticks_out_ms === null ? "undefined" : "bad", r.sticks_out_ms]]));
    $("instants").closest(".scroll").hidden = $("instants_csv").hidden = !found.length;
  };
  for (const id of ["codec", "hidden", "overlap"]) $(id).addEventListener("change", () => { paint("hidechart"); list(); });
  $("instants_csv").addEventListener("click", () => save("not_hidden.csv", asCsv(instants()), "text/csv"));
  list();
}
$("payload").addEventListener("change", paintAll);
$("set").addEventListener("change", () => { for (const id of ["overday", "overday_unheard", "byvariant"]) paint(id); });
$("variant").addEventListener("change", () => paint("partsday"));
$("day_json").addEventListener("click", () => save("sync_day.json", JSON.stringify(DATA), "application/json"));
