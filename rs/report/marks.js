// Markers (by matplotlib's letters) and dashes of lines, as in the static figures.
const marks = (() => {
  const turned = (points, angle) => points.map(([x, y]) => [x * Math.cos(angle) - y * Math.sin(angle), x * Math.sin(angle) + y * Math.cos(angle)]);
  const polygon = (n, angle) => turned([...Array(n).keys()].map(i => [Math.cos(2 * Math.PI * i / n), Math.sin(2 * Math.PI * i / n)]), angle);
  const a = 0.36, plus = [[-a, -1], [a, -1], [a, -a], [1, -a], [1, a], [a, a], [a, 1], [-a, 1], [-a, a], [-1, a], [-1, -a], [-a, -a]];
  const PI = Math.PI, SHAPES = { o: polygon(20, 0), s: polygon(4, PI / 4), "^": polygon(3, -PI / 2), D: polygon(4, 0), v: polygon(3, PI / 2), P: plus, X: turned(plus, PI / 4),
    "<": polygon(3, PI), ">": polygon(3, 0), p: polygon(5, -PI / 2), h: polygon(6, -PI / 2), d: polygon(4, 0).map(([x, y]) => [0.6 * x, y]), 8: polygon(8, PI / 8) };
  const paper = () => getComputedStyle(document.documentElement).getPropertyValue("--card").trim();
  const path = (line, x, y, size) => SHAPES[line.marker].map(([u, v]) => `${(x + size * u).toFixed(1)},${(y + size * v).toFixed(1)}`);
  return {
    // about eight markers along a line that uPlot has drawn; `lines` are pairs of a line and its column
    draw: lines => u => {
      const c = u.ctx, ratio = devicePixelRatio, every = Math.ceil(u.data[0].length / 8);
      c.save();
      for (const [line, column] of lines) {
        if (!SHAPES[line.marker]) continue;
        c.fillStyle = line.hollow ? paper() : line.colour; c.strokeStyle = line.colour; c.lineWidth = 1.5 * ratio;
        for (let i = 0; i < u.data[0].length; i += every) {
          if (u.data[column][i] === null) continue;
          const x = u.valToPos(u.data[0][i], "x", true), y = u.valToPos(u.data[column][i], "y", true);
          const [first, ...rest] = path(line, x, y, 4.5 * ratio).map(p => p.split(","));
          c.beginPath(); c.moveTo(...first); rest.forEach(p => c.lineTo(...p)); c.closePath(); c.fill(); if (line.hollow) c.stroke();
        }
      }
      c.restore();
    },
    // a sample of the line, for the table beside the chart
    sample: line => {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const add = (name, attributes) => { const e = document.createElementNS(svg.namespaceURI, name); for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v); svg.append(e); };
      for (const [k, v] of Object.entries({ class: "sample", width: 30, height: 12, "aria-hidden": "true" })) svg.setAttribute(k, v);
      add("line", { x1: 0, x2: 30, y1: 6, y2: 6, stroke: line.colour, "stroke-width": line.width, "stroke-dasharray": line.dash.join(" ") || "none" });
      if (SHAPES[line.marker]) add("polygon", { points: path(line, 15, 6, 4.5).join(" "), stroke: line.colour, style: `fill: ${line.hollow ? "var(--card)" : line.colour}` });
      return svg;
    },
  };
})();
