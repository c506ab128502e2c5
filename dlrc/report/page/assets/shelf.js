// All runs of a folder; a served list follows those that fly.
const runs = DATA.runs;
themes();
$("told").textContent = runs.length ? `${runs.length} run${runs.length === 1 ? "" : "s"}, the latest first. ./launch.sh compare A B shows what differs between some.` : "No runs here yet; ./launch.sh scenario=smoke makes one.";
if (runs.length) $("runs").append(table([
  { key: "folder", label: "run", left: true, text: r => r.page ? make("a", { href: encodeURIComponent(r.folder) + "/index.html", text: r.folder }) : r.folder },
  { key: "scenario", label: "scenario", left: true }, { key: "state", label: "state", left: true, text: r => r.state + (r.fault ? `: ${r.fault}` : "") + (r.estimate ? ", an estimate" : "") },
  { key: "began", label: "begun (UTC)", left: true, text: r => r.began.slice(0, 16).replace("T", " ") }, { key: "codec", label: "codec", left: true }, { key: "satellites", label: "satellites" }, { key: "rounds", label: "rounds" },
  { key: "saved_pct", label: "saved, %", text: r => number(r.saved_pct, 1) }, { key: "bpp", label: "bpp", text: r => number(r.bpp, 4) }, { key: "psnr_db", label: "PSNR, dB", text: r => number(r.psnr_db, 2) }, { key: "t_round_s", label: "exchange", text: r => duration(r.t_round_s) }, { key: "wall_s", label: "took", text: r => duration(r.wall_s) },
], runs, { label: "Runs", tall: true }));
follow(false);
