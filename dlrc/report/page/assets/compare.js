// Several runs: what differs first, then what follows from it.
const HUES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#785e3c", "#7b5aa6", "#b0562a", "#4c8c4a", "#8b949e", "#c2415c"];
const runs = DATA.runs.map((run, i) => ({ ...run, hue: HUES[i], letter: String.fromCharCode(65 + i) }));
const signedBy = (value, digits) => signed(value, digits);
const head = run => make("span", {}, make("i", { style: `display:inline-block;width:10px;height:10px;border-radius:3px;background:${run.hue};margin-right:6px`, "aria-hidden": true }), run.letter);

function comparison() {
  const differ = DATA.knobs.length, savings = runs.map(run => `${number(run.saving.total, 1)} %`);
  $("headline").replaceChildren(make("b", { text: differ ? `${differ} knob${differ === 1 ? " differs" : "s differ"}` : "No knob differs" }), `; saved ${savings.slice(0, -1).join(", ")} and ${savings.at(-1)}`);
  const said = [];
  if (new Set(runs.map(run => run.weights)).size > 1) said.push("The codecs' weights differ.");
  if (new Set(runs.map(run => run.version)).size > 1) said.push("The program's versions differ.");
  if (runs.some(run => !run.finished)) said.push(`Not finished: ${runs.filter(run => !run.finished).map(run => run.letter).join(", ")}.`);
  if (runs.some(run => run.estimate)) said.push(`Rates are an estimate: ${runs.filter(run => run.estimate).map(run => run.letter).join(", ")}.`);
  $("notice").hidden = !said.length; $("notice").textContent = said.join(" ");
  $("knobs").append(differ ? table([{ key: "key", label: "knob", left: true, text: k => make("code", { text: k.key }) }, ...runs.map((run, i) => ({ key: i, label: head(run), left: true, text: k => k.values[i] || "none" })), { key: "meaning", label: "meaning", left: true, wrap: true, text: k => k.meaning + (k.unit ? `, ${k.unit}` : "") }], DATA.knobs, { plain: true, tall: true, label: "Knobs that differ" }) : make("p", { text: "All knobs are the same: what differs is chance, code, pictures or weights." }));
  $("knobs").append(make("p", { class: "dim", text: `${DATA.same} knobs are the same in all.` }));
  const change = (row, i) => row.values[i] == null || row.values[0] == null ? null : row.values[i] - row.values[0];
  const shade = (row, i) => { const c = change(row, i); return !c || !row.better ? "" : c * row.better > 0 ? "better" : "worse"; };
  const columns = [{ key: "label", label: "figure", left: true, text: r => r.label + (r.unit ? `, ${r.unit}` : "") },
    ...runs.flatMap((run, i) => [{ key: i, label: head(run), text: r => number(r.values[i], r.digits) }, ...(i ? [{ key: "c" + i, label: make("span", { text: `${run.letter} ${MINUS} A` }), text: r => signedBy(change(r, i), r.digits), classOf: r => shade(r, i) }] : [])])];
  const moved = DATA.figures.filter(row => row.apart > 0), still = DATA.figures.filter(row => !row.apart);
  $("figures").append(moved.length ? table(columns, moved, { plain: true, tall: true, label: "Figures that differ, the most first" }) : make("p", { text: "No figure differs." }));
  if (still.length) $("figures").append(make("p", { class: "dim", text: `Equal in all: ${still.map(row => row.label).join(", ")}.` }));
  const points = runs.flatMap(run => ["independent", "dlrc"].map(side => ({ run, side: side === "dlrc" ? "with DLRC" : "independent", bpp: run.bpp[side].total, psnr_db: run.quality[side].psnr_db }))).filter(p => p.psnr_db != null);
  const pairs = runs.map(run => [points.find(p => p.run === run && p.side === "independent"), points.find(p => p.run === run && p.side === "with DLRC")]).filter(pair => pair[0] && pair[1]);
  if (points.length) chart($("charts"), {
    title: "From the independent codec (ring) to DLRC (disc)", alt: points.map(p => `${p.run.letter} ${p.side}: ${number(p.bpp, 4)} bits per pixel at ${number(p.psnr_db, 2)} dB`).join(". "), legend: runs.map(run => [run.hue, `${run.letter}: ${run.name}`]),
    draw: width => Plot.plot({ width, height: Math.min(380, Math.max(260, width * 0.42)), marginLeft: 48, marginBottom: 40, grid: true, inset: 24, x: { label: "bits per pixel" }, y: { label: "PSNR, dB", ticks: 5, tickFormat: d => number(d, 2) },
      marks: [Plot.arrow(pairs, { x1: d => d[0].bpp, y1: d => d[0].psnr_db, x2: d => d[1].bpp, y2: d => d[1].psnr_db, stroke: d => d[0].run.hue, strokeWidth: 1.8, insetStart: 7, insetEnd: 9, headLength: 6 }), Plot.dot(points, { x: "bpp", y: "psnr_db", r: 6, stroke: d => d.run.hue, strokeWidth: 2, fill: d => d.side === "independent" ? "var(--panel)" : d.run.hue }), Plot.text(points.filter(p => p.side !== "independent"), { x: "bpp", y: "psnr_db", text: d => d.run.letter, dy: -15, fontWeight: 700 })] }),
    rows: points, columns: [{ key: "run", label: "run", left: true, text: p => `${p.run.letter}: ${p.run.name}`, value: p => p.run.letter }, { key: "side", label: "coding", left: true }, { key: "bpp", label: "bits per pixel", text: p => number(p.bpp, 4) }, { key: "psnr_db", label: "PSNR, dB", text: p => number(p.psnr_db, 3) }],
  });
  $("runs").append(table([{ key: "letter", label: "run", left: true, text: head }, { key: "name", label: "folder", left: true, text: r => r.link ? make("a", { href: r.link, text: r.name }) : r.name }, { key: "rounds", label: "rounds" }, { key: "began", label: "begun", left: true }, { key: "version", label: "dlrc", left: true }, { key: "weights", label: "weights", left: true, text: r => make("code", { text: r.weights }) }], runs, { plain: true, tall: true, label: "Runs" }));
  $("foot").textContent = "Differences are against A, the first run. Green: better, red: worse, where one can say so.";
}
themes(); comparison();
