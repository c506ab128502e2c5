const of = rule => DATA.rounds.filter(r => r.rule === rule);
const short = rule => rule.includes(":") ? rule.split(":")[1] + " (yours)" : rule;  // a module's path is long
const colours = () => ({ domain: DATA.rules, range: hues(), legend: true, tickFormat: short });
const places = d3.max(DATA.members, m => m.length);
const time = timeAxis();
const spare = { marginLeft: 52, marginRight: 16 };
const hour = s => s === null ? null : s / 3600;
const h = v => v === null ? "undefined" : v.toFixed(2) + " h";

chart("kept", width => {
  const which = $("round").value;
  const rows = DATA.rules.flatMap(rule => d3.range(places).map(place => {
    const found = of(rule).filter((r, n) => (which === "mean" || n === Number(which)) && place < r.bytes_kept.length).map(r => r.bytes_kept[place] / 1e9);
    return { rule, place, y: mean(found) };
  })).filter(r => r.y !== null);
  return plot({ width, height: narrow(width) ? 90 * DATA.rules.length + 60 : 300, ...spare, color: colours(),
    ...(narrow(width) ? { fy: { domain: DATA.rules, label: null, tickFormat: short }, marginRight: 90 } : { fx: { domain: DATA.rules, label: null, tickFormat: short }, marginBottom: 40 }),
    x: { label: "satellite by nearness", domain: d3.range(places), ticks: places > 12 ? [] : undefined }, y: { label: "GB", grid: true, ticks: 4 },
    marks: [Plot.barY(rows, { x: "place", y: "y", [narrow(width) ? "fy" : "fx"]: "rule", fill: "rule", title: r => `${r.rule}\nsatellite ${r.place}: ${r.y.toFixed(3)} GB` }), Plot.ruleY([0])] });
});
function overDay(width, value, options) {
  const rows = DATA.rounds.map(r => ({ x: utc(r.time_s), y: value(r), rule: r.rule })), known = rows.filter(r => r.y !== null);
  return plot({ width, height: narrow(width) ? 250 : 280, ...spare, x: time, color: colours(), y: { grid: true, ...options },
    marks: [Plot.lineY(rows, { x: "x", y: "y", stroke: "rule", strokeWidth: 1.8 }), Plot.dot(known, { x: "x", y: "y", fill: "rule", r: 2.4 }),
      Plot.tip(known, Plot.pointer({ x: "x", y: "y", title: r => `${r.rule}, ${isoMinute(r.x)} UTC\n${r.y.toFixed(3)}` })),
      ...(known.length ? [] : [Plot.text(["undefined: not delivered in any round"], { frameAnchor: "middle", fontSize: 14, fill: "currentColor" })])] });
}
const whole = list => list.some(v => v === null) ? null : list;
chart("latestday", width => overDay(width, r => whole(r.own_s) && hour(d3.max(r.own_s)), { label: "hours", zero: true }));
chart("usableday", width => overDay(width, r => whole(r.usable_s) && hour(d3.mean(r.usable_s)), { label: "hours", zero: true }));
chart("fairday", width => overDay(width, r => r.fairness, { label: "Jain", domain: [0, 1] }));
chart("charge", width => {
  const rows = DATA.rounds.flatMap(r => r.charge.map(c => ({ rule: r.rule, y: c === null ? null : 100 * c }))).filter(r => r.y !== null);
  return plot({ width, height: 280, marginLeft: 100, x: { label: "battery, %", grid: true }, y: { label: null, domain: DATA.rules, tickFormat: short }, color: { domain: DATA.rules, range: hues() },
    marks: [Plot.tickX(rows, { x: "y", y: "rule", stroke: "rule", strokeOpacity: 0.5 }), Plot.dot(DATA.rules.map(rule => ({ rule, y: d3.min(rows.filter(r => r.rule === rule), r => r.y) })).filter(r => r.y !== undefined), { x: "y", y: "rule", fill: "rule", r: 5, title: r => `${r.rule}: lowest ${r.y.toFixed(1)} %` })] });
});
chart("lostbars", width => {
  const rows = DATA.rounds.flatMap(r => r.lost_bytes.map((v, place) => ({ rule: r.rule, x: v / 1e9, place, round: r.round })));
  return plot({ width, height: 60 + 38 * DATA.rules.length, marginLeft: 100, x: { label: "GB sent anew", grid: true, zero: true }, y: { label: null, domain: DATA.rules, tickFormat: short }, color: { domain: DATA.rules, range: hues() },
    marks: [Plot.barX(rows, Plot.groupY({ x: "mean" }, { x: "x", y: "rule", fill: "rule", fillOpacity: 0.45, inset: 4 })), Plot.dot(rows, { x: "x", y: "rule", fill: "rule", r: 2, fillOpacity: 0.6, title: r => `${r.rule}, round ${r.round + 1}, satellite ${r.place}: ${r.x.toFixed(2)} GB` })] });
});
chart("orderday", width => {
  const rows = of($("rule").value).flatMap(r => r.order.map((place, rank) => ({ x: r.round + 1, rank: rank + 1, place, who: DATA.members[DATA.times_s.indexOf(r.time_s)][place] })));
  const scale = d3.scaleLinear([0, Math.max(1, places - 1)], dark() ? ["#ffd27a", "#22506e"] : ["#ffcf70", "#8fb8d8"]);
  return plot({ width, height: 50 + 26 * places, marginLeft: 40, padding: 0.06, x: { label: "round", type: "band" }, y: { label: "rank", type: "band" },
    marks: [Plot.cell(rows, { x: "x", y: "rank", fill: r => scale(r.place), title: r => `round ${r.x}, rank ${r.rank}: satellite ${r.who}, place ${r.place}` }),
      ...(rows.length <= 600 && width / DATA.times_s.length > 15 ? [Plot.text(rows, { x: "x", y: "rank", text: r => String(r.place), fill: r => dark() && r.place > places / 2 ? "#fff" : "#1a2027" })] : [])] });
});
function swapped(order, base) {
  const at = new Map(order.map((place, rank) => [place, rank]));
  let n = 0, all = 0;
  for (let i = 0; i < base.length; i++) for (let j = i + 1; j < base.length; j++) { all++; if (at.get(base[i]) > at.get(base[j])) n++; }
  return all ? n / all : null;
}
chart("swaps", width => overDay(width, r => swapped(r.order, [...r.order].sort((a, b) => a - b)), { label: "share of pairs", domain: [0, 1] }));
$("round").addEventListener("change", () => paint("kept"));
$("rule").addEventListener("change", () => paint("orderday"));
