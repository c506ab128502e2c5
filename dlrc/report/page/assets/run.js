// The page of one run: what was asked, the answers, then everything behind them.
const S = DATA.summary;

function header() {
  $("name").textContent = DATA.name;
  $("asked").replaceChildren(...DATA.asked.map(text => make("li", { text })));
  const flying = !DATA.finished;
  $("state").replaceChildren(make("span", { class: "chip" + (flying ? " live" : ""), text: flying ? `${DATA.rounds_done} of ${DATA.rounds_asked} rounds, not finished` : `finished, ${DATA.began.slice(0, 10)}` }));
  $("contents").replaceChildren(...[["answer", "Answer"], ["views", "Pictures and maps"], ["rules", "Other rules"], ["quality", "Quality"], ["clock", "Clock"], ["network", "Links"], ["downlink", "Downlink"], ["table", "Satellites"], ["repairs", "Faults"], ["again", "Fly it again"]].map(([id, text]) => make("a", { href: "#" + id, text })));
  if (DATA.orbits && DATA.finished) $("contents").prepend(make("a", { href: "map.html", text: "Map and time" }));
  $("foot").textContent = `dlrc ${DATA.versions.dlrc}, begun ${DATA.began}${S.wall_s ? `, ${duration(S.wall_s)} of wall time` : ""}. This page stands alone: it asks nothing of any network.`;
  follow(flying);
}

function headline() {
  const saved = S.saving_pct.total, estimate = S.bpp.kind === "estimate", quality = S.quality, change = quality.dlrc.psnr_db == null ? null : quality.dlrc.psnr_db - quality.independent.psnr_db;
  const words = !DATA.sharing ? ["Nothing is shared in this run: every satellite codes by itself."]
    : [make("b", { text: `${number(Math.abs(saved), 1)} % ${saved >= 0 ? "fewer" : "more"} bytes` }), ` on the downlink${change == null ? "" : `, at ${signed(change, 3)} dB`}${estimate ? " (an estimate)" : ""}`];
  $("headline").replaceChildren(...words);
  const notices = [];
  if (estimate) notices.push("codec.context=open: rates are the paper's open-loop estimate, not decodable streams.");
  if (S.decode.failed) notices.push(`${S.decode.failed} of ${S.decode.streams} images are missing or have gaps.`);
  $("notice").hidden = !notices.length; $("notice").textContent = notices.join(" ");
}

const card = (title, big, ...rest) => make("div", { class: "card" }, make("h3", { text: title }), make("p", { class: "big" }, ...big), ...rest);
const small = text => make("small", { text: " " + text });
function stack(parts, whole) {  // [colour, value]
  return make("div", { class: "stack", "aria-hidden": true }, ...parts.map(([fill, value]) => make("i", { style: `width:${100 * value / whole}%;background:${fill}` })));
}
function cards() {
  const { independent: a, dlrc: d } = S.bpp, q = S.quality, where = S.positions, total = key => sum(DATA.totals, row => row[key]);
  const sections = [["y", "var(--y)"], ["z", "var(--z)"], ["map", "var(--map)"], ...(d.prediction ? [["prediction", "var(--other)"]] : []), ["header", "var(--header)"]], most = Math.max(a.total, d.total) || 1;
  const bar = of => stack(sections.map(([name, fill]) => [fill, of[name] || 0]), most);
  const saved = card("What was saved", [DATA.sharing ? `${signed(-S.saving_pct.total, 1)} %` : "0 %", small(`${bytes(total("independent_bytes"))} \u2192 ${bytes(total("dlrc_bytes"))}`)],
    make("div", { class: "bars" }, make("span", { text: "independent" }), make("span", { text: number(a.total, 4) + " bpp" }), bar(a), make("span", { text: "DLRC" }), make("span", { text: number(d.total, 4) + " bpp" }), bar(d)),
    legend(sections.map(([name, fill]) => [fill, name])));
  const quality = card("At which quality", q.dlrc.psnr_db == null ? ["\u2013"] : [number(q.dlrc.psnr_db, 2), small("dB PSNR with DLRC")],
    make("p", { text: q.dlrc.psnr_db == null ? "No image was decoded." : `Independent: ${number(q.independent.psnr_db, 2)} dB, a change of ${signed(q.dlrc.psnr_db - q.independent.psnr_db, 3)} dB.` }),
    q.dlrc.ms_ssim == null ? null : make("p", { text: `MS-SSIM ${number(q.dlrc.ms_ssim, 4)}, independent ${number(q.independent.ms_ssim, 4)}.` }),
    DATA.generated ? make("p", { text: `Generated: ${DATA.generated}.` }) : null);
  const sync = card("How long the exchange took", DATA.sharing ? [duration(S.sync.t_round_s.mean), small(`at most ${duration(S.sync.t_round_s.max)}`)] : ["none"],
    make("p", { text: DATA.sharing ? `Until everybody has everybody's ${DATA.streams ? "stream" : "list"}, ${bytes(S.sync.payload_bytes)} from each satellite over the links (noise ${S.sync.noise}).` : "Nothing is exchanged." }));
  const fates = byClass(), kinds = DATA.classes.filter(kind => fates[kind.key] > 0);
  const hues = { kept: "var(--y)", local: "var(--z)", remote: "var(--map)", inexact: "var(--other)" };
  const hue = (kind, i) => hues[kind.key] || d3.schemeTableau10[i + 4];
  const whole = Object.values(fates).reduce((x, y) => x + y, 0);
  const who = card("Who coded what", whole ? [percent(fates.kept / whole), small("of the vectors coded where they were seen")] : [percent(where.kept), small("kept")],
    stack(kinds.map((kind, i) => [hue(kind, i), fates[kind.key]]), whole || 1), legend(kinds.map((kind, i) => [hue(kind, i), `${kind.label} ${percent(fates[kind.key] / whole)}`])),
    S.saving_pct.y_of_oracle == null ? null : make("p", { text: `${percent(where.oracle)} were seen by an earlier satellite as well; the saving of y is ${number(S.saving_pct.y_of_oracle, 0)} % of that.` }));
  const decode = S.decode, arrived = card("Did it arrive", [`${decode.exact} of ${decode.streams}`, small("streams decoded exactly")],
    make("p", { text: [decode.failed ? `${decode.failed} failed` : "None failed", decode.independent ? `${decode.independent} replaced by independent streams` : "", decode.resent_bytes ? `${bytes(decode.resent_bytes)} sent again` : ""].filter(Boolean).join(", ") + "." }));
  $("cards").replaceChildren(saved, quality, sync, who, arrived);
}
function byClass() {  // positions by class, over the rounds that this page shows
  const out = Object.fromEntries(DATA.classes.map(kind => [kind.key, 0]));
  for (const round of DATA.rounds) for (const view of round.views) {
    const c = cells(view);
    if (c && view.outcome !== "lost") for (const k of c.kind) out[DATA.classes[k].key]++;
  }
  return out;
}

function otherRules() {  // of the first round, by footprints
  $("other").textContent = DATA.rules_command;
  const into = $("others"), busiest = rule => d3.max(rule.kept_bytes), mine = DATA.rules.find(rule => rule.mine), rest = DATA.rules.filter(rule => !rule.mine);
  if (!mine) {
    $("ask").textContent = DATA.streams ? "With streams exchanged, a rule decides who predicts from whom; the study tells it for signatures." : DATA.sharing ? "This run says nothing about it; the study does." : "Nothing is shared, so no rule changes anything.";
    return into.append(make("p", { class: "dim", text: DATA.sharing ? "Other rules are told for runs that exchange signatures and whose satellites pass the station within a day." : "Every satellite codes by itself." }));
  }
  const level = d3.least(rest, busiest), quick = d3.least(rest.filter(rule => rule.first_s != null), rule => rule.first_s);
  $("ask").textContent = `By footprints: under ${mine.rule}, as here, the busiest satellite would send ${bytes(busiest(mine))}` + (level ? `, under ${level.rule} ${bytes(busiest(level))}` : "") + (mine.first_s == null || !quick ? "." : `; the first picture is usable after ${duration(mine.first_s)}, under ${quick.rule} after ${duration(quick.first_s)}.`);
  const parts = DATA.rules.flatMap(rule => rule.kept_bytes.map((size, satellite) => ({ rule: rule.rule, satellite, size }))), wide = 12 + 7 * d3.max(DATA.rules, rule => rule.rule.length);
  chart(into, {
    title: "Round 1: what each satellite would send, by rule", alt: `Bytes by satellite and rule. ${DATA.rules.map(rule => `${rule.rule}: the busiest sends ${bytes(busiest(rule))}`).join("; ")}.`,
    legend: mine.kept_bytes.slice(0, 16).map((_, satellite) => [colour(satellite), `sat. ${satellite}`]),
    note: "By footprints and the independent streams' mean bytes: equal ground counts as equal, everybody hears everybody, each stream waits for its own passes. The order under balanced has no top; it needs a codec without context, or codec.context=independent.",
    draw: width => Plot.plot({ width, height: 40 + 30 * DATA.rules.length, marginLeft: Math.min(width / 3, wide), x: { label: "kB", grid: true, transform: v => v / 1000 }, y: { label: null, domain: DATA.rules.map(rule => rule.rule), padding: 0.25, tickSize: 0 },
      marks: [Plot.barX(parts, Plot.stackX({ y: "rule", x: "size", fill: d => colour(d.satellite), insetRight: 0.5, order: "satellite" })), Plot.tip(parts, Plot.pointer(Plot.stackX({ y: "rule", x: "size", order: "satellite", title: d => `${d.rule}: satellite ${d.satellite} sends ${bytes(d.size)}` }))), Plot.ruleX([0])] }),
    rows: [],
  });
  into.append(table([
    { key: "rule", label: "rule", left: true, text: r => r.rule + (r.mine ? " (this run)" : "") }, { key: "order", label: "order", left: true, text: r => r.rule === "balanced" ? "none" : r.order.join(" "), value: r => r.order.join(" ") },
    { key: "busiest", label: "busiest sends", text: r => bytes(busiest(r)), value: busiest }, { key: "fairness", label: "fairness (Jain)", text: r => number(r.fairness, 2) },
    { key: "first_s", label: "first picture usable after", text: r => duration(r.first_s) }, { key: "last_s", label: "all down after", text: r => duration(r.last_s) }, { key: "lost_bytes", label: "a lost owner costs", text: r => bytes(r.lost_bytes) },
  ], DATA.rules, { label: "Rules of priority side by side" }));
}

function rowsTable() {
  const change = row => row.independent_total_bytes ? row.dlrc_total_bytes / row.independent_total_bytes - 1 : null, loss = row => row.dlrc_psnr_db == null ? null : row.dlrc_psnr_db - row.independent_psnr_db;
  const columns = [
    { key: "round", label: "round", text: r => r.round + 1 }, { key: "satellite", label: "satellite" }, { key: "outcome", label: "outcome", left: true },
    { key: "independent_total_bytes", label: "independent", text: r => bytes(r.independent_total_bytes) }, { key: "dlrc_total_bytes", label: "DLRC", text: r => bytes(r.dlrc_total_bytes) },
    { key: "change", label: "change", text: r => signed(100 * change(r), 1) + " %", value: change }, { key: "dlrc_psnr_db", label: "PSNR, dB", text: r => number(r.dlrc_psnr_db, 2) },
    { key: "loss", label: "change, dB", text: r => signed(loss(r), 3), value: loss }, { key: "kept", label: "kept", text: r => number(r.kept) }, { key: "local_copy", label: "local" }, { key: "remote_copy", label: "remote" }, { key: "heard", label: "heard" },
    { key: "payload_bytes", label: "sent in exchange", text: r => bytes(r.payload_bytes) }, { key: "t_sync_s", label: "exchange", text: r => duration(r.t_sync_s) }, { key: "transmission_s", label: "transmission", text: r => duration(r.transmission_s) },
  ];
  $("rows").append(table(columns, DATA.rows, { label: "Every satellite in every round", classOf: r => r.satellite === 0 ? "first" : "" }));
  $("rows").append(make("p", { class: "dim", text: "The whole tables lie in the folder as CSV and Parquet: tables/." }));
}

function repairs() {
  const asked = DATA.faults_asked, bad = DATA.rows.filter(r => r.outcome !== "exact" || r.fault || r.resent_bytes || r.lost_bytes), all = key => sum(DATA.rows, r => r[key]);
  const wanted = [asked["ground.stream_loss"] ? `a stream arrives damaged with a chance of ${percent(asked["ground.stream_loss"], 0)}` : "", asked["ground.silent_satellite"] >= 0 ? `satellite ${asked["ground.silent_satellite"]} never downlinks` : ""].filter(Boolean);
  $("faults").append(make("p", { text: `Asked for: ${wanted.join("; ") || "no fault"}. ${bad.length ? "" : "Every stream arrived, and was decoded to what was coded."}` }));
  $("faults").append(make("p", { text: `Sent ${bytes(all("first_sent_bytes"))} and ${bytes(all("resent_bytes"))} again; received ${bytes(all("received_bytes"))}, lost ${bytes(all("lost_bytes"))}.` }));
  if (bad.length) $("faults").append(table([{ key: "round", label: "round", text: r => r.round + 1 }, { key: "satellite", label: "satellite" }, { key: "outcome", label: "outcome", left: true }, { key: "m", label: "which is", left: true, wrap: true, text: r => DATA.outcomes[r.outcome] || "as sent", value: r => r.outcome }, { key: "fault", label: "fault", left: true, wrap: true }, { key: "first_sent_bytes", label: "sent first", text: r => bytes(r.first_sent_bytes) }, { key: "resent_bytes", label: "again", text: r => bytes(r.resent_bytes) }, { key: "received_bytes", label: "received", text: r => bytes(r.received_bytes) }, { key: "lost_bytes", label: "lost", text: r => bytes(r.lost_bytes) }], bad, { label: "Faults and repairs" }));
}

function reproduce() {
  const facts = entries => make("dl", { class: "facts" }, ...Object.entries(entries).flatMap(([key, value]) => [make("dt", { text: key }), make("dd", {}, make("code", { text: value }))]));
  const knobs = (list, label) => table([{ key: "key", label: "knob", left: true, text: k => make("code", { text: k.key }) }, { key: "value", label: "here", left: true, text: k => k.value || "none" }, { key: "default", label: "default", left: true }, { key: "meaning", label: "meaning", left: true, wrap: true, text: k => k.meaning + (k.unit ? `, ${k.unit}` : "") }], list, { label });
  const set = DATA.knobs.filter(k => k.set), rest = DATA.knobs.filter(k => !k.set);
  $("reproduce").append(make("div", { class: "command" }, make("code", { id: "command", text: DATA.command }), make("button", { type: "button", class: "quiet copy", "data-copy": "command", text: "Copy" })),
    make("h3", { text: "Versions and digests" }), facts({ ...DATA.versions, ...DATA.digests }),
    make("h3", { text: "Knobs that are set" }), set.length ? knobs(set, "knobs that are set") : make("p", { text: "None: all at their defaults." }),
    make("details", {}, make("summary", { text: `The other ${rest.length} knobs, at their defaults` }), knobs(rest, "knobs at their defaults")),
    make("h3", { text: "In this folder" }), make("p", { text: "summary.json (schema: docs/summary.schema.json), scenario.yaml, manifest.jsonl with the SHA-256 of every file, rounds/ with records, streams and pictures, tables/ as CSV and Parquet, trace.json for Perfetto." }));
}

// ---------------------------------------------------------------- choices
function options(select, list, value) { select.replaceChildren(...list.map(([key, text]) => make("option", { value: key, text }))); select.value = String(value); }
function changed(roundToo = false) {
  const round = roundNow();
  if (!round.views.some(v => v.satellite === look.satellite)) look.satellite = round.views[0]?.satellite;
  if (roundToo) {
    options($("satellite"), round.views.map(v => [v.satellite, v.outcome === "exact" ? v.satellite : `${v.satellite} (${v.outcome})`]), look.satellite);
    CHARTS.length = settled;
    for (const [id, draw] of [["timeline", timeline], ["isl", network], ["queue", queue]]) { $(id).replaceChildren(); draw($(id), round); }
    footprints($("footprints"));
  }
  $("satellite").value = String(look.satellite); $("round").value = String(look.round);
  const view = viewNow(), c = view && cells(view);
  if (c && look.cell != null && look.cell >= c.kind.length) look.cell = null;
  history.replaceState(null, "", `#round=${look.round + 1}&satellite=${look.satellite}`);
  if (!view) return;
  mapLegend(); tiles(); showMap(); showPicture();
}
let settled = 0;

function wire() {
  $("round").addEventListener("change", e => { look.round = Number(e.target.value); changed(true); });
  $("satellite").addEventListener("change", e => { look.satellite = Number(e.target.value); changed(); });
  for (const side of ["left", "right"]) $(side).addEventListener("change", e => { look[side] = e.target.value; showPicture(); });
  $("layer").addEventListener("change", e => { look.layer = e.target.value; mapLegend(); tiles(); showMap(); });
  $("split").addEventListener("input", e => { look.split = Number(e.target.value) / 1000; showPicture(); });
  $("in").addEventListener("click", () => zoomTo(1.5)); $("out").addEventListener("click", () => zoomTo(1 / 1.5));
  $("fit").addEventListener("click", () => { Object.assign(look, { zoom: 1, x: 0.5, y: 0.5 }); showPicture(); });
  const picture = $("picture"), fingers = new Map(), at = e => { const r = picture.getBoundingClientRect(); return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height]; };
  let dividing = false, apart = 0;
  picture.addEventListener("pointerdown", e => { const p = at(e); fingers.set(e.pointerId, p); picture.setPointerCapture(e.pointerId); dividing = fingers.size === 1 && Math.abs(p[0] - look.split) < 0.04; });
  picture.addEventListener("pointermove", e => {
    const before = fingers.get(e.pointerId), p = at(e);
    if (!before) { picture.style.cursor = Math.abs(p[0] - look.split) < 0.04 ? "ew-resize" : ""; return; }
    fingers.set(e.pointerId, p);
    if (fingers.size === 2) { const [a, b] = [...fingers.values()], wide = Math.hypot(a[0] - b[0], a[1] - b[1]); if (apart) zoomTo(wide / apart, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2); apart = wide; return; }
    if (dividing || look.zoom === 1) { look.split = Math.max(0, Math.min(1, p[0])); $("split").value = String(Math.round(1000 * look.split)); }
    else { look.x -= (p[0] - before[0]) / look.zoom; look.y -= (p[1] - before[1]) / look.zoom; }
    showPicture();
  });
  for (const kind of ["pointerup", "pointercancel"]) picture.addEventListener(kind, e => { fingers.delete(e.pointerId); apart = 0; });
  picture.addEventListener("wheel", e => { if (e.ctrlKey || look.zoom > 1) { e.preventDefault(); zoomTo(Math.exp(-e.deltaY / 300), ...at(e)); } }, { passive: false });
  picture.addEventListener("keydown", e => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (move) { look.x += move[0] * 0.1 / look.zoom; look.y += move[1] * 0.1 / look.zoom; showPicture(); } else if (e.key === "+") zoomTo(1.5); else if (e.key === "-") zoomTo(1 / 1.5); else return;
    e.preventDefault();
  });
  const map = $("map"), tip = $("tip"), cellAt = e => { const c = cells(viewNow()), r = map.getBoundingClientRect(); if (!c) return null; const x = Math.floor((e.clientX - r.left) / r.width * c.w), y = Math.floor((e.clientY - r.top) / r.height * c.h); return x >= 0 && y >= 0 && x < c.w && y < c.h ? y * c.w + x : null; };
  const point = e => { const cell = cellAt(e); if (cell === look.cell) return; look.cell = cell; showMap(); showPicture(); };
  map.addEventListener("pointermove", e => { point(e); if (look.cell == null || e.pointerType === "touch") return; tip.hidden = false; tip.textContent = told(viewNow(), look.cell).replaceAll("; ", "\n"); tip.style.left = Math.min(innerWidth - tip.offsetWidth - 8, e.clientX + 14) + "px"; tip.style.top = e.clientY + 16 + "px"; });
  map.addEventListener("pointerdown", point);
  map.addEventListener("pointerleave", () => { tip.hidden = true; });
  map.addEventListener("keydown", e => {
    const c = cells(viewNow()), step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -c?.w, ArrowDown: c?.w }[e.key];
    if (!c || !step) return;
    e.preventDefault(); const next = look.cell == null ? 0 : look.cell + step;
    if (next >= 0 && next < c.kind.length && !(Math.abs(step) === 1 && look.cell != null && Math.floor(next / c.w) !== Math.floor(look.cell / c.w))) look.cell = next;
    showMap(); showPicture();
  });
  document.addEventListener("theme", () => { if (viewNow()) { showMap(); tiles(); showPicture(); } });
  addEventListener("resize", () => { if (viewNow()) { showMap(); showPicture(); } });
}

function begin() {
  const wish = new URLSearchParams(location.hash.slice(1)), number = Number(wish.get("round")) - 1;
  look.round = DATA.rounds.some(r => r.number === number) ? number : DATA.rounds[0].number;
  look.satellite = wish.has("satellite") ? Number(wish.get("satellite")) : bestView();
  themes(); copying(); header(); headline(); cards();
  otherRules(); rateQuality($("rd")); trend($("trend"));
  settled = CHARTS.length;
  options($("round"), DATA.rounds.map(r => [r.number, r.title]), look.round);
  const pictures = [["captured", "original"], ["independent", "independent"], ["dlrc", "DLRC"], ["error independent", "error \u00d7 8, independent"], ["error dlrc", "error \u00d7 8, DLRC"], ...(DATA.generated ? [["generated", "generated (never sent)"], ["error generated", "error \u00d7 8, generated"]] : [])];
  options($("left"), pictures, look.left); options($("right"), pictures, look.right); options($("layer"), Object.entries(LAYERS).map(([key, layer]) => [key, layer.label]), look.layer);
  wire(); changed(true); rowsTable(); repairs(); reproduce();
  if (location.hash && $(location.hash.slice(1))) $(location.hash.slice(1)).scrollIntoView();
}
const bestView = () => {  // the one that shares most says most
  const rows = DATA.rows.filter(r => r.round === look.round && r.independent_total_bytes);
  return rows.length ? rows.reduce((a, b) => b.dlrc_total_bytes / b.independent_total_bytes < a.dlrc_total_bytes / a.independent_total_bytes ? b : a).satellite : roundNow().views[0]?.satellite;
};
begin();
