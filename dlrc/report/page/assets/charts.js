// The charts of a run: rate and quality, rounds, clock, links, queue. Each says in words what it shows.
const sum = (list, of) => list.reduce((total, item) => total + (of(item) || 0), 0);
const SIDES = { "DLRC": "var(--dlrc)", "independent": "var(--alone)" };

function rateQuality(into) {
  const { bpp, quality, model } = DATA.summary, first = DATA.rounds[0];
  const run = [
    { name: `${model.name}, independent`, side: "independent", bpp: bpp.independent.total, psnr_db: quality.independent.psnr_db },
    { name: `${model.name} with DLRC`, side: "DLRC", bpp: bpp.dlrc.total, psnr_db: quality.dlrc.psnr_db },
  ].filter(point => point.psnr_db != null);
  const named = { jpeg2000: "JPEG 2000", jpegxl: "JPEG XL", webp: "WebP" };
  const classical = first ? first.classical.map(point => ({ ...point, name: named[point.codec] || point.codec })) : [];
  if (!run.length) return into.append(make("p", { class: "dim", text: "No image was decoded, so there is no quality to show." }));
  const ends = Object.values(named).map(name => classical.filter(point => point.name === name).at(-1)).filter(Boolean);
  const views = DATA.rows.flatMap(row => row.pixels ? ["independent", "dlrc"].map(side => ({ side: side === "dlrc" ? "DLRC" : side, satellite: row.satellite, round: row.round, bpp: 8 * row[side + "_total_bytes"] / row.pixels, psnr_db: row[side + "_psnr_db"] })) : []).filter(point => point.psnr_db != null);
  const ink = { "JPEG 2000": "var(--other)", WebP: "var(--map)", "JPEG XL": "var(--good)" };
  chart(into, {
    title: "Mean over all images, beside classical codecs on the same pictures",
    alt: `Rate against quality. ${run.map(p => `${p.name}: ${number(p.bpp, 4)} bits per pixel at ${number(p.psnr_db, 2)} dB`).join(". ")}.`,
    legend: [["var(--dlrc)", "with DLRC"], ["var(--alone)", "independent"], ...ends.map(end => [ink[end.name], end.name])],
    note: classical.length ? `Small dots: single views. Classical codecs: one quality for all, on ${classical[0].patches} pictures of round 1; the run's points: all rounds.` : "Small dots: single views. Classical codecs were not measured (package imagecodecs, first round's pictures).",
    draw: width => Plot.plot({
      width, height: Math.min(420, Math.max(280, width * 0.45)), marginLeft: 48, marginBottom: 40, marginRight: 70, grid: true,
      x: { label: "bits per pixel" }, y: { label: "PSNR, dB", nice: true },
      marks: [
        Plot.dot(views, { x: "bpp", y: "psnr_db", r: 2, fill: d => SIDES[d.side], fillOpacity: 0.4 }),
        Plot.line(classical, { x: "bpp", y: "psnr_db", z: "name", stroke: d => ink[d.name], strokeWidth: 1.8, marker: "circle" }),
        Plot.text(ends, { x: "bpp", y: "psnr_db", text: "name", dx: 8, textAnchor: "start", fill: d => ink[d.name] }),
        run.length === 2 ? Plot.arrow([run], { x1: d => d[0].bpp, y1: d => d[0].psnr_db, x2: d => d[1].bpp, y2: d => d[1].psnr_db, stroke: "var(--dlrc)", insetStart: 8, insetEnd: 10, headLength: 7, strokeWidth: 2 }) : null,
        Plot.dot(run, { x: "bpp", y: "psnr_db", r: 6.5, fill: d => SIDES[d.side], stroke: "var(--panel)", strokeWidth: 1.5 }),
        Plot.tip([...run, ...classical], Plot.pointer({ x: "bpp", y: "psnr_db", title: d => `${d.name}\n${number(d.bpp, 4)} bpp, ${number(d.psnr_db, 2)} dB` })),
      ],
    }),
    rows: [...run, ...classical],
    columns: [{ key: "name", label: "codec", left: true }, { key: "bpp", label: "bits per pixel", text: d => number(d.bpp, 4) }, { key: "psnr_db", label: "PSNR, dB", text: d => number(d.psnr_db, 2) }],
  });
}

function trend(into) {
  const rows = DATA.totals.filter(row => row.independent_bytes).map(row => ({ ...row, name: row.round + 1, saved: 1 - row.dlrc_bytes / row.independent_bytes }));
  if (rows.length < 2) return;
  const sides = rows.flatMap(row => [["independent", row.independent_bytes], ["DLRC", row.dlrc_bytes]].map(([side, size]) => ({ round: row.name, side, size })));
  chart(into, {
    title: "Bytes by round", alt: `Bytes by round. ${rows.slice(0, 12).map(r => `Round ${r.name}: ${bytes(r.independent_bytes)} independent, ${bytes(r.dlrc_bytes)} with DLRC`).join("; ")}.`,
    legend: [["var(--alone)", "independent"], ["var(--dlrc)", "with DLRC"]],
    draw: width => rows.length <= 12
      ? Plot.plot({ width, height: 210, marginLeft: 56, x: { axis: null, domain: ["independent", "DLRC"] }, y: { label: "kB", grid: true, transform: d => d / 1000 }, fx: { label: "round", padding: 0.25 },
          marks: [Plot.barY(sides, { fx: "round", x: "side", y: "size", fill: d => SIDES[d.side], rx: 2 }), Plot.text(rows, { fx: "name", x: () => "DLRC", y: "dlrc_bytes", dy: -8, text: d => signed(-100 * d.saved, 1) + " %" }), Plot.ruleY([0])] })
      : Plot.plot({ width, height: 210, marginLeft: 56, x: { label: "round", tickFormat: "d" }, y: { label: "kB", grid: true, zero: true, transform: d => d / 1000 }, marks: [Plot.line(sides, { x: "round", y: "size", z: "side", stroke: d => SIDES[d.side] })] }),
    rows,
    columns: [{ key: "name", label: "round" }, { key: "independent_bytes", label: "independent", text: d => bytes(d.independent_bytes) }, { key: "dlrc_bytes", label: "DLRC", text: d => bytes(d.dlrc_bytes) }, { key: "saved", label: "saved", text: d => percent(d.saved) }, { key: "t_round_s", label: "exchange", text: d => duration(d.t_round_s) }],
  });
}

// A colour of its own for each step; those of an exchange of streams stand for what they replace (alone: entropy, exchange: sync)
const STEPS = { capture: "#8b949e", analysis: "#0072b2", hash: "#56b4e9", sync: "#d55e00", entropy: "#009e73", arbitrate: "#e69f00", downlink: "#cc79a7",
  alone: "#7fc8a9", exchange: "#d55e00", references: "#8c6bb1", registration: "#f0e442", prediction: "#56b4e9", coding: "#009e73" };
const STEP_TOLD = { alone: "alone: the independent stream", references: "references: others' streams decoded", registration: "registration of what predicts" };
const stepColour = name => STEPS[name] || d3.schemeTableau10[[...name].reduce((n, c) => n + c.charCodeAt(0), 0) % 10];
function timeline(into, round) {
  const spans = round.spans, lanes = [...new Set(spans.map(s => s.satellite))];
  if (!spans.length) return into.append(make("p", { class: "dim", text: "Nobody told about its clock in this round." }));
  const begin = d3.min(spans, s => s.start_s), ms = t => 1000 * (t - begin), shown = lanes.slice(0, 32);
  const lane = s => (s.category === "network" ? "links" : "computing");
  const names = [...new Set(spans.map(s => s.name))], end = d3.max(spans, s => ms(s.end_s));
  const rows = spans.filter(s => shown.includes(s.satellite)).map(s => ({ ...s, track: `${s.satellite} ${lane(s)}`, x1: ms(s.start_s), x2: ms(s.end_s) }));
  const tracks = shown.flatMap(s => [`${s} computing`, `${s} links`]).filter(track => rows.some(row => row.track === track));
  chart(into, {
    title: `Round ${round.number + 1}: what each satellite did, milliseconds after the shutter`,
    alt: `Simulated clock of round ${round.number + 1}, ${lanes.length} satellites, ${number(end, 1)} ms in all. The exchange took up to ${duration(round.t_round_s)}.`,
    legend: names.map(name => [stepColour(name), STEP_TOLD[name] || name]),
    note: (DATA.clock === "measured" ? "Compute times as measured on this machine." : `Compute times: profile ${DATA.clock} (the paper's Table 2), not this machine's.`) + " Downlink is transmission alone, at the edge of a pass; waiting for the pass is below.",
    draw: width => Plot.plot({
      width, height: 44 + 13 * tracks.length, marginLeft: 92, marginBottom: 34, x: { label: "ms", grid: true, domain: [0, end] }, y: { label: null, domain: tracks, padding: 0.15, tickFormat: t => t.endsWith("computing") ? "sat. " + t.replace(" computing", "") : "links", tickSize: 0 },
      marks: [Plot.barX(rows, { y: "track", x1: "x1", x2: "x2", fill: d => stepColour(d.name), insetLeft: 0.3, rx: 1 }), Plot.tip(rows, Plot.pointerY({ x: d => (d.x1 + d.x2) / 2, y: "track", title: d => `satellite ${d.satellite}: ${d.name}\n${duration(d.duration_s)}, from ${number(d.x1, 2)} ms` }))],
    }),
    rows, columns: [{ key: "satellite", label: "satellite" }, { key: "name", label: "step", left: true }, { key: "x1", label: "begins, ms", text: d => number(d.x1, 3) }, { key: "duration_s", label: "lasts", text: d => duration(d.duration_s) }, { key: "category", label: "kind", left: true }],
  });
}

function network(into, round) {
  const net = round.network;
  if (!net) return into.append(make("p", { class: "dim", text: "The run did not note its network." }));
  const label = node => node.participant < 0 ? "" : String(node.participant), used = net.links.filter(l => l.carried_bytes > 0), idle = net.links.filter(l => !(l.carried_bytes > 0));
  const ends = link => ({ ...link, a: net.nodes[link.first], b: net.nodes[link.second] });
  const busiest = d3.max(used, l => l.carried_bytes) || 1, members = net.nodes.filter(n => n.participant >= 0), relays = net.nodes.length - members.length;
  const points = { type: "MultiPoint", coordinates: net.nodes.map(n => [n.longitude_deg, n.latitude_deg]) };
  const [lon, lat] = d3.geoCentroid(points), reach = d3.max(points.coordinates, p => d3.geoDistance(p, [lon, lat])) * 180 / Math.PI;
  const grid = d3.geoGraticule10(), edge = d3.geoCircle().center([lon, lat]).radius(Math.min(88, reach * 1.25 + 2))();
  const told = ends => `${ends.a.name} to ${ends.b.name}\n${number(ends.distance_km)} km, ${duration(ends.propagation_s)}\n${number(ends.rate_bps / 1e6)} Mbit/s, carried ${bytes(ends.carried_bytes)}`;
  const mid = l => d3.geoInterpolate([l.a.longitude_deg, l.a.latitude_deg], [l.b.longitude_deg, l.b.latitude_deg])(0.5);
  const all = net.links.map(ends), box = make("div", { class: "two" });
  into.append(box);
  chart(box, {
    title: `Round ${round.number + 1}: the participants and the links among them`,
    alt: `Map of ${members.length} participating satellites${relays ? ` and ${relays} that relay` : ""} with ${net.links.length} links among them; the exchange used ${used.length}.`,
    legend: [["var(--accent)", "carried the exchange; the wider, the more"], ["var(--line)", "idle"]],
    note: `${number(net.satellites)} satellites with ${number(net.links_in_all)} links in all; rule ${net.rule}, noise ${net.noise}.`,
    draw: width => {
      const size = Math.min(width, 460), to = { stroke: "var(--accent)", strokeLinecap: "round" }, line = { x1: d => d.a.longitude_deg, y1: d => d.a.latitude_deg, x2: d => d.b.longitude_deg, y2: d => d.b.latitude_deg, curve: "auto" };
      return Plot.plot({
        width: size, height: size, projection: { type: "orthographic", rotate: [-lon, -lat], domain: edge, inset: 6 },
        marks: [
          Plot.graticule({ stroke: "var(--line)", strokeOpacity: 0.7 }), Plot.geo(coast(), { stroke: "var(--dim)", strokeWidth: 0.7, strokeOpacity: 0.7 }),
          Plot.link(idle.map(ends), { ...line, stroke: "var(--line)", strokeWidth: 1 }),
          Plot.link(used.map(ends), { ...line, ...to, strokeWidth: d => 0.8 + 2.4 * d.carried_bytes / busiest, strokeOpacity: 0.55 }),
          Plot.dot([DATA.region], { x: "longitude_deg", y: "latitude_deg", symbol: "times", r: 6, stroke: "var(--bad)", strokeWidth: 2 }),
          Plot.dot(net.nodes.filter(d => d.participant < 0), { x: "longitude_deg", y: "latitude_deg", r: 3, fill: "var(--dim)" }),
          Plot.dot(members, { x: "longitude_deg", y: "latitude_deg", r: 10, fill: d => colour(d.participant), stroke: "var(--panel)", strokeWidth: 1.5 }),
          Plot.text(members, { x: "longitude_deg", y: "latitude_deg", text: label, fill: d => inkOn(colour(d.participant)), fontWeight: 700 }),
          Plot.tip(all, Plot.pointer({ x: d => mid(d)[0], y: d => mid(d)[1], title: told })),
        ],
      });
    },
  });
  const links = make("div", { class: "chart" }, make("p", { style: "margin:0 0 6px", text: `${net.links.length} links among them, ${used.length} in use` }),
    table([{ key: "a", label: "between", left: true, text: d => [d.a, d.b].map(n => n.participant < 0 ? n.name : n.participant).sort().join(" and "), value: d => d.a.participant }, { key: "distance_km", label: "km", text: d => number(d.distance_km) }, { key: "propagation_s", label: "light takes", text: d => duration(d.propagation_s) }, { key: "rate_bps", label: "Mbit/s", text: d => number(d.rate_bps / 1e6) }, { key: "carried_bytes", label: "carried", text: d => bytes(d.carried_bytes) }], [...all].sort((x, y) => y.carried_bytes - x.carried_bytes), { label: "Inter-satellite links" }),
    make("p", { class: "dim", style: "margin:.5rem 0 0;font-size:.85rem", text: `Participants are numbered as in the run: ${members.slice(0, 12).map(n => `${n.participant} is ${n.name}`).join(", ")}.` }));
  box.append(links);
}
let rings = null;
function coast() {
  rings = rings || { type: "MultiLineString", coordinates: DATA.coast.map(r => { const out = []; for (let i = 0; i < r.length; i += 2) out.push([r[i] / 10, r[i + 1] / 10]); return [...out, out[0]]; }) };
  return rings;
}
function inkOn(fill) { const c = d3.rgb(fill); return 0.3 * c.r + 0.59 * c.g + 0.11 * c.b > 140 ? "#000" : "#fff"; }

function queue(into, round) {
  const net = round.network, waiting = net ? net.waiting : [];
  if (!waiting.length) return into.append(make("p", { class: "dim", text: "Nobody had a stream to send." }));
  const told = new Map(waiting.map(w => [w.participant, `sat. ${w.participant}: ${w.finish_s == null ? "not in time" : duration(w.finish_s - net.time_s)}`])), hour = t => (t - net.time_s) / 3600, last = d3.max(waiting, w => w.finish_s ?? null), end = Math.max(0.5, hour(last ?? net.until_s) * 1.05);
  const passes = waiting.flatMap(w => w.passes.map(p => ({ ...p, lane: told.get(w.participant), x1: hour(p.rise_s), x2: hour(p.set_s) }))).filter(p => p.x1 < end);
  const down = waiting.filter(w => w.finish_s != null).map(w => ({ ...w, lane: told.get(w.participant), x: hour(w.finish_s) }));
  const late = waiting.filter(w => w.finish_s == null).length, first = d3.min(down, d => d.x), all = d3.max(down, d => d.x);
  chart(into, {
    title: `Round ${round.number + 1}: from the shutter to the ground over ${DATA.station.name}` + (down.length ? `: first picture after ${duration(3600 * first)}, all after ${duration(3600 * all)}` : ""),
    alt: `Waiting for passes over ${DATA.station.name}. ${down.slice(0, 16).map(d => `Satellite ${d.participant} is down after ${duration(3600 * d.x)}`).join(", ")}.`,
    legend: [["var(--z)", "pass over the station"], ["var(--bad)", "last byte on the ground"]],
    note: `A plain queue: first in, first out; every pass at its mean rate, an antenna for every satellite, nothing lost${DATA.station.others ? `, the first of ${DATA.station.others + 1} stations alone` : ""}. Files, shared antennas, other stations, weather, loss and other orders: ${DATA.delivery_command}.` + (late ? ` ${late} of the streams are not down within orbit.duration_s.` : ""),
    draw: width => Plot.plot({
      width, height: 54 + 22 * waiting.length, marginLeft: 118, x: { label: "hours after the round", domain: [0, end], grid: true }, y: { label: null, domain: [...told.values()], padding: 0.35, tickSize: 0 },
      marks: [
        Plot.ruleY(down, { y: "lane", x1: 0, x2: "x", stroke: "var(--line)", strokeWidth: 2 }),
        Plot.barX(passes, { y: "lane", x1: "x1", x2: d => Math.min(end, d.x2), fill: "var(--z)", rx: 2 }),
        Plot.dot(down, { y: "lane", x: "x", r: 5, fill: "var(--bad)", stroke: "var(--panel)" }),
      ],
    }),
    rows: waiting, columns: [{ key: "participant", label: "satellite" }, { key: "size_bytes", label: "sends", text: d => bytes(d.size_bytes) }, { key: "rise_s", label: "next pass after", text: d => d.passes[0] ? duration(d.passes[0].rise_s - net.time_s) : "none", value: d => d.passes[0]?.rise_s }, { key: "e", label: "highest, deg", text: d => d.passes[0] ? number(d.passes[0].max_elevation_deg, 1) : "", value: d => d.passes[0]?.max_elevation_deg }, { key: "r", label: "Mbit/s", text: d => d.passes[0] ? number(d.passes[0].rate_bps / 1e6, 1) : "", value: d => d.passes[0]?.rate_bps }, { key: "finish_s", label: "on the ground after", text: d => d.finish_s == null ? "not in time" : duration(d.finish_s - net.time_s), value: d => d.finish_s }],
  });
}
