// A table as CSV, Markdown and LaTeX. `table` has a title, a note, columns { name, number } and rows of cells
// { text, low, high, spread, ours, sign, status, note, best }: an interval's ends, a spread, a second number
// beside the first, and the meaning of a sign; a part that a cell lacks is "".
const formats = (() => {
  const NUMBER = /^(≥ )?([+−-]?)([\d.,]+)(?:e([+−-]?\d+))?$/;
  const plain = text => text.replaceAll("−", "-");
  const bare = cell => ({ ...cell, text: cell.text === "–" ? "" : cell.text });

  // --- CSV: each part that any cell of a column has is a column of its own; numbers are written for machines, and
  // a ' precedes words that a spreadsheet would run as a formula
  const PARTS = { text: "", low: " low", high: " high", spread: " ±", ours: " ours", status: " status", note: " note" };
  const quoted = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const safe = text => /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  const numeral = text => NUMBER.test(text) ? plain(text).replaceAll(",", "") : /^[+−-]?∞$/.test(text) ? plain(text).replace("∞", "inf") : null;
  const machine = text => numeral(text) ?? safe(text);
  function csv({ columns, rows }) {
    const cells = rows.map(row => row.map(bare));
    const wanted = columns.flatMap((column, i) => Object.keys(PARTS)
      .filter(part => part === "text" || cells.some(row => row[i][part])).map(part => [i, part]));
    const lines = [wanted.map(([i, part]) => safe(columns[i].name) + PARTS[part]),
      ...cells.map(row => wanted.map(([i, part]) => machine(row[i][part])))];
    return lines.map(line => line.map(quoted).join(",")).join("\n") + "\n";
  }

  // --- Markdown: cells as they are seen
  const escaped = text => text.replace(/[\\|`*_<>\[\]]/g, "\\$&").replaceAll("\n", " ");
  function seen(cell) {
    const value = escaped(cell.text) + (cell.ours && ` / ${cell.ours}`), signed = value + (cell.sign && ` ${cell.sign}`);
    const under = cell.low ? ` (${cell.low} to ${cell.high})` : cell.spread ? ` ± ${cell.spread}` : cell.note && ` (${escaped(cell.note)})`;
    return (cell.best ? `**${signed}**` : signed) + under;
  }
  function markdown({ columns, rows }) {
    const lines = [columns.map(c => escaped(c.name)), columns.map(c => c.number ? "---:" : "---"), ...rows.map(row => row.map(seen))];
    return lines.map(line => `| ${line.join(" | ")} |`).join("\n") + "\n";
  }

  // --- LaTeX, with booktabs: an interval becomes the smallest ± that covers it
  const LETTERS = { α: "alpha", β: "beta", γ: "gamma", δ: "delta", ε: "varepsilon", η: "eta", θ: "theta", λ: "lambda", μ: "mu", π: "pi",
    ρ: "rho", σ: "sigma", τ: "tau", φ: "varphi", Δ: "Delta", Σ: "Sigma", Φ: "Phi", ℓ: "ell", "∞": "infty", "≥": "geq", "≤": "leq", "≠": "neq",
    "≈": "approx", "±": "pm", "×": "times", "·": "cdot", "∅": "emptyset", "✓": "checkmark", "▲": "blacktriangle", "▼": "blacktriangledown" };
  const OTHERS = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$",
    "−": "$-$", "–": "--", "…": "\\ldots{}", "◐": "?", "\u00a0": "~", "₀": "$_0$", "₁": "$_1$", "₂": "$_2$", "²": "$^2$" };
  const tex = text => [...text].map(c => "&%$#_{}".includes(c) ? `\\${c}` : LETTERS[c] ? `$\\${LETTERS[c]}$` : OTHERS[c] ?? c).join("");
  function amount(text) {
    const [, bound, sign, digits, power] = NUMBER.exec(text);
    return (bound ? "\\geq " : "") + plain(sign) + digits.replaceAll(",", "{,}") + (power ? ` \\cdot 10^{${Number(plain(power))}}` : "");
  }
  function half({ text, low, high }) {
    const value = Number(machine(text.replace("≥ ", ""))), scale = 10 ** (text.split(".")[1] ?? "").length;
    const most = Math.max(Number(machine(high)) - value, value - Number(machine(low)), 0);
    return (Math.ceil(most * scale - 1e-6) / scale).toFixed(Math.round(Math.log10(scale)));
  }
  function texCell(cell) {
    const ours = cell.ours && ` / ${tex(cell.ours)}`, sign = cell.sign && ` ${tex(cell.sign)}`, note = cell.note && ` (${tex(cell.note)})`;
    if (!NUMBER.test(cell.text)) return (cell.best ? `\\textbf{${tex(cell.text)}}` : tex(cell.text)) + ours + sign + note;
    const number = cell.best ? `\\mathbf{${amount(cell.text)}}` : amount(cell.text), ends = [cell.low, cell.high];
    const open = cell.low && !ends.every(end => NUMBER.test(end));
    const error = open ? "" : cell.low ? ` \\pm ${half(cell)}` : cell.spread && ` \\pm ${NUMBER.test(cell.spread) ? amount(cell.spread) : tex(cell.spread)}`;
    return `$${number}${error}$${open ? ` [${ends.map(tex).join(", ")}]` : ""}${ours}${sign}${note}`;
  }
  function latex({ title, note, columns, rows }) {
    const line = cells => `${cells.join(" & ")} \\\\`, covers = rows.some(row => row.some(cell => cell.low));
    const told = [title, note, "needs booktabs, and amssymb for signs", covers && "± covers the whole interval"].filter(Boolean);
    return [...told.map(t => `% ${t.replace(/\s+/g, " ")}`), `\\begin{tabular}{${columns.map(c => c.number ? "r" : "l").join("")}}`, "\\toprule",
      line(columns.map(c => tex(c.name))), "\\midrule", ...rows.map(row => line(row.map(texCell))), "\\bottomrule", "\\end{tabular}"].join("\n") + "\n";
  }
  return { CSV: csv, Markdown: markdown, LaTeX: latex };
})();
