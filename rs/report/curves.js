// Certified accuracy against radius, counted from the radius of every image. Shows all runs at the radius under
// the pointer, differences to a chosen run on the same images, and the images behind a number. An address such
// as #panel=0&run=macer&r=0.5 opens the images of one number.
(() => {
  const source = document.getElementById("curves-data");
  if (!source) return;
  const data = JSON.parse(source.textContent), SCALE = 10000, POINTS = 240, Z = 1.959964, MORE = 48;
  const WRONG = -1, ABSTAINED = -2;
  const down = v => (Math.floor(v * 1000 + 1e-6) / 1000).toFixed(3);
  const up = v => (Math.ceil(v * 1000 - 1e-6) / 1000).toFixed(3);
  const signed = text => text.startsWith("-") ? `−${text.slice(1)}` : `+${text}`;
  const nearest = v => (Math.round(v * 1000) / 1000).toFixed(3);
  const short = r => String(Number(r.toFixed(4)));
  const middle = values => values[(values.length - 1) >> 1];
  // whether votes that were stopped give only a lower bound at r
  const isBound = (line, r) => line.decided !== null && !line.decided.some(q => Math.abs(q - r) < 1e-6);
  const threshold = r => Math.ceil(r * SCALE - 1e-6);

  // [share, low, high] of images certified at r: Wilson's interval, as in the tables
  const certified = (line, r) => {
    line.sorted ??= line.radii.filter(v => v !== null).sort((a, b) => a - b);
    const t = threshold(r), all = line.sorted, n = all.length;
    let low = 0, high = n;
    while (low < high) { const mid = (low + high) >> 1; all[mid] >= t ? high = mid : low = mid + 1; }
    const p = (n - low) / n, d = 1 + Z * Z / n, centre = (p + Z * Z / (2 * n)) / d;
    const half = Z / d * Math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n));
    return [p, centre - half, centre + half].map(v => line.factor * Math.min(1, Math.max(0, v)));
  };
  const accuracy = (line, r) => (isBound(line, r) ? "≥ " : "") + down(certified(line, r)[0]);
  // the same for the difference to another line, image by image: Agresti and Min's interval of paired shares
  const difference = (line, other, r) => {
    const t = threshold(r);
    let gained = 0, lost = 0, both = 0, n = 0;
    line.radii.forEach((v, i) => {
      const o = other.radii[i];
      if (v === null || o === null) return;
      n++;
      if (v >= t && o >= t) both++; else if (v >= t) gained++; else if (o >= t) lost++;
    });
    if (!n || line === other) return [0, 0, 0];
    const f = line.factor, h = other.factor, g = gained + 0.5, l = lost + 0.5, m = n + 2;
    const d = (f * g - h * l + (f - h) * both) / m;
    const half = Z * Math.sqrt((f * f * g + h * h * l + (f - h) ** 2 * both) / m - d * d) / Math.sqrt(m);
    return [(f * gained - h * lost + (f - h) * both) / n, d - half, d + half];
  };

  function panelOf(panel, number, place) {
    const top = panel.top / SCALE, chosen = new Set(panel.lines);
    const radii = [...new Set([...Array(POINTS + 1).keys()].map(i => Math.floor(panel.top * i / POINTS)))].map(v => v / SCALE);
    const published = panel.lines.flatMap(line => line.published.map(p => p.r)).filter(r => r <= top);
    const grid = [...new Set([...radii, ...published])].sort((a, b) => a - b);
    const state = { r: middle(data.radii.filter(r => r > 0 && r < top)) ?? 0, reference: null, bands: panel.lines.length <= 6, log: false };
    const caps = new Map();  // largest radius that the votes allow -> colours of its lines
    for (const line of panel.lines) if (line.cap !== null && line.cap <= top) caps.set(line.cap, (caps.get(line.cap) ?? new Set()).add(line.colour));
    if (caps.size > 6) for (const at of [...caps.keys()].sort((a, b) => a - b).slice(0, -1)) caps.delete(at);
    const reach = Math.max(...panel.lines.map(line => line.cap ?? Infinity));
    let plot = null;

    const chart = make("div", { class: "chart", role: "img", "aria-label": `Certified accuracy against radius, ${panel.title}: the table beside it has the numbers at the chosen radius` });
    const rows = make("tbody"), caption = make("caption"), images = make("div", { class: "images", "aria-live": "polite" });
    const slider = make("input", { type: "range", min: 0, max: top, step: 0.0001, "aria-label": `radius, ${panel.title}`, oninput: e => choose(Number(e.target.value)) });
    const select = make("select", { onchange: e => { state.reference = panel.lines[e.target.value] ?? null; draw(); } }, make("option", { value: "" }, "accuracy itself"),
      ...panel.lines.map((line, i) => make("option", { value: i }, `difference to ${line.name}`)));
    const check = (text, key) => make("label", {}, make("input", { type: "checkbox", checked: state[key], onchange: e => { state[key] = e.target.checked; draw(); } }), ` ${text}`);
    const table = make("table", { class: "at" }, caption, make("thead", {}, make("tr", {}, ...["", "run", "certified", "to the best", panel.lines.some(l => l.published.length) ? "published" : ""].map(h => make("th", { scope: "col" }, h)))), rows);
    place.append(make("h3", {}, panel.title), make("div", { class: "tools" }, make("label", {}, "show ", select), check("intervals", "bands"), check("log scale of 1 − accuracy", "log")),
      make("div", { class: "beside" }, make("div", {}, chart, make("label", { class: "slide" }, "radius ", slider)), make("div", {}, toolsOf(table, panel.title, true), make("div", { class: "wrap", tabindex: 0 }, table))), images);

    function values(line, r) {
      if (state.reference) return difference(line, state.reference, r);
      const found = certified(line, r);
      return state.log ? found.map(v => v < 1 ? 1 - v : null) : found;
    }
    function draw() {
      plot?.destroy();
      const style = getComputedStyle(document.documentElement), ink = style.getPropertyValue("--quiet").trim(), rule = style.getPropertyValue("--line").trim();
      const series = [{ label: "radius" }], bands = [], columns = [grid], drawn = [];
      for (const line of panel.lines.filter(l => chosen.has(l))) {
        const found = grid.map(r => values(line, r));
        drawn.push([line, series.length]);
        series.push({ stroke: line.colour, width: line.width, dash: line.dash, points: { show: false } });
        columns.push(found.map(v => v[0]));
        if (state.bands && line !== state.reference) {
          const thin = { stroke: "transparent", width: 0, points: { show: false } };
          bands.push({ series: [series.length, series.length + 1], fill: line.colour + "26" });
          series.push(thin, thin);
          columns.push(found.map(v => Math.max(v[1] ?? v[0], v[2] ?? v[0])), found.map(v => Math.min(v[1] ?? v[0], v[2] ?? v[0])));
        }
        if (!state.reference && !state.log) for (const agrees of [true, false]) {
          const marks = line.published.filter(p => (p.status === "agrees") === agrees);
          if (!marks.length) continue;
          series.push({ stroke: line.colour, width: 0, paths: () => null, points: { show: true, size: 8, width: 2, stroke: line.colour, fill: agrees ? line.colour : style.getPropertyValue("--card").trim() } });
          columns.push(grid.map(r => marks.find(p => p.r === r)?.value ?? null));
        }
      }
      const cap = u => {
        for (const [at, colours] of caps) {
          const x = u.valToPos(at, "x", true), c = u.ctx;
          c.save(); c.strokeStyle = caps.size > 1 && colours.size === 1 ? [...colours][0] : ink; c.setLineDash([2, 5]); c.beginPath(); c.moveTo(x, u.bbox.top); c.lineTo(x, u.bbox.top + u.bbox.height); c.stroke(); c.restore();
        }
      };
      const axis = { stroke: ink, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule }, font: "13px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif" };
      const word = state.reference ? `difference to ${state.reference.name}` : state.log ? "1 − certified accuracy" : "certified accuracy";
      const ticks = (u, splits) => splits.map(v => v === null || v === undefined ? "" : uPlot.fmtNum(v).replace("-", "−"));
      const y = state.reference ? {} : state.log ? { distr: 3 } : { range: [0, 1] };
      const width = Math.max(280, chart.clientWidth);
      plot = new uPlot({ width, height: Math.min(440, Math.max(300, width * 0.6)), scales: { x: { time: false, range: [0, top] }, y }, series, bands, legend: { show: false },
        cursor: { drag: { setScale: false, x: false, y: false }, points: { show: false }, y: false }, axes: [{ ...axis, label: panel.unit }, { ...axis, label: word, size: 62, ...state.log ? {} : { values: ticks } }],
        hooks: { ready: [() => choose(state.r)], draw: [cap, marks.draw(drawn)], setCursor: [u => { if (u.cursor.idx != null) choose(grid[u.cursor.idx], true); }] } }, columns, chart);
    }
    function choose(r, pointed = false) {
      state.r = r;
      if (!pointed && plot?.status) plot.setCursor({ left: plot.valToPos(r, "x"), top: 0 }, false);
      slider.value = r;
      slider.setAttribute("aria-valuetext", `radius ${short(r)}`);
      caption.textContent = `at radius ${short(r)}${r > reach ? ": more than the votes can certify" : ""}`;
      const ranked = [...panel.lines].sort((a, b) => certified(b, r)[0] - certified(a, r)[0]), best = ranked[0];
      rows.replaceChildren(...ranked.map(line => {
        const [, low, high] = certified(line, r), [d, from, to] = difference(line, best, r), tie = (from <= 0 && to >= 0) || isBound(line, r) || isBound(best, r);
        const printed = line.published.find(q => Math.abs(q.r - r) < 1e-9);
        const box = make("input", { type: "checkbox", checked: chosen.has(line), "aria-label": `draw ${line.name}`, style: `accent-color:${line.colour}`, onchange: e => { e.target.checked ? chosen.add(line) : chosen.delete(line); draw(); } });
        return make("tr", { class: tie ? "tie" : "" }, make("td", { class: "swatch" }, box, marks.sample(line)),
          make("td", { class: line.name.length > 30 && "long" }, make("button", { type: "button", title: "the images behind this number", onclick: () => open(line, r) }, ...breakable(line.name)), ...(line.estimate ? [make("span", { class: "mark" }, "estimate")] : [])),
          make("td", { class: "number" }, accuracy(line, r), make("small", {}, `${down(low)}–${up(high)}`)),
          make("td", { class: "number" }, line === best ? "best" : signed(nearest(d)) + (tie ? " ◐" : ""), make("small", {}, line === best ? "" : `${signed(down(from))} to ${signed(up(to))}`)),
          make("td", { class: "number" }, printed ? printed.value.toFixed(3) : "", make("small", {}, printed?.status ?? "")));
      }));
    }
    function open(line, r, scroll = true) {
      const t = threshold(r), reference = state.reference && state.reference !== line ? state.reference : null;
      const group = (title, test) => [title, [...line.radii.keys()].filter(i => line.radii[i] !== null && test(line.radii[i], i))];
      const groups = [
        ...(reference ? [group(`lost: certified by ${reference.name} only`, (v, i) => v < t && reference.radii[i] >= t), group(`gained: not certified by ${reference.name}`, (v, i) => v >= t && reference.radii[i] !== null && reference.radii[i] < t)] : []),
        group(`correct, radius below ${short(r)}`, v => v >= 0 && v < t), group("abstained", v => v === ABSTAINED), group("wrong", v => v === WRONG), group("certified", v => v >= t)];
      const tile = i => {
        const id = panel.images[i], truth = panel.labels[i], radius = line.radii[i];
        const told = radius >= 0 ? `${truth}, radius ${short(radius / SCALE)}` : radius === ABSTAINED ? `${truth}, abstained` : line.classes ? `${truth} taken for ${line.classes[i]}` : `${truth}, wrong or abstained`;
        const [n, voted, votes, second, behind] = (panel.votes[line.draws] ?? []).map(column => column[i]);
        const sure = n ? [make("small", {}, `votes for ${voted}: ${votes.toLocaleString("en")} of ${n.toLocaleString("en")}${behind ? `, for ${second}: ${behind.toLocaleString("en")}` : ""}`)] : [];
        return make("figure", {}, data.thumbnails[id] ? make("img", { src: data.thumbnails[id], alt: `test image ${id}`, loading: "lazy" }) : make("div", { class: "none" }, "not kept"), make("figcaption", {}, `#${id}: ${told}`, ...sure));
      };
      const list = ([title, members], n) => {
        const shown = make("div", { class: "tiles" });
        const add = () => { shown.append(...members.slice(shown.childElementCount, shown.childElementCount + MORE).map(tile)); more.hidden = shown.childElementCount >= members.length; };
        const more = make("button", { type: "button", onclick: add }, "more");
        const details = make("details", { open: n === 0 && members.length > 0 }, make("summary", {}, `${title}: ${members.length}`), shown, more);
        details.addEventListener("toggle", () => { if (details.open && !shown.childElementCount) add(); });
        if (details.open) add();
        return details;
      };
      const filled = groups.filter(([, members]) => members.length);
      images.replaceChildren(make("h4", { tabindex: -1 }, `${line.name} at radius ${short(r)}: ${accuracy(line, r)} certified`), ...filled.map(list));
      history.replaceState(null, "", `#panel=${number}&run=${encodeURIComponent(line.name)}&r=${short(r)}`);
      if (scroll) { images.scrollIntoView(); images.firstChild.focus({ preventScroll: true }); }
    }
    new ResizeObserver(() => { if (plot && Math.abs(chart.clientWidth - plot.width) > 2) draw(); }).observe(chart);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    draw();
    return { open: (name, r) => { const line = panel.lines.find(l => l.name === name); if (line) { choose(r); open(line, r); } } };
  }

  const home = document.getElementById("curves"), opened = new Map();
  const show = i => { if (!opened.has(i)) opened.set(i, panelOf(data.panels[i], i, places[i])); return opened.get(i); };
  const places = data.panels.map(() => home.appendChild(make("div", { class: "panel" })));
  const seen = new IntersectionObserver(entries => entries.forEach(e => { if (e.isIntersecting) { seen.unobserve(e.target); show(places.indexOf(e.target)); } }), { rootMargin: "300px" });
  places.forEach(place => seen.observe(place));
  document.documentElement.classList.add("live");
  for (const cell of document.querySelectorAll("td[data-opens]")) {
    const [run, certificate, noise, r] = JSON.parse(cell.dataset.opens);
    const meant = l => l.draws === `${run} ${noise}` && l.certificate === certificate;
    const i = data.panels.findIndex(panel => panel.lines.some(meant));
    const line = data.panels[i]?.lines.find(meant);
    if (line) cell.firstChild.replaceWith(make("button", { type: "button", title: "the images behind this number", onclick: () => show(i).open(line.name, r) }, cell.firstChild.textContent));
  }
  function follow() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const i = asked.has("run") ? Number(asked.get("panel") ?? 0) : -1;
    if (data.panels[i]) show(i).open(asked.get("run"), Number(asked.get("r")));
  }
  addEventListener("hashchange", follow);
  follow();
})();
