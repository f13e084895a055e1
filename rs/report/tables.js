for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead?.rows[0].cells ?? []], body = table.tBodies[0];
  heads.forEach((head, i) => head.querySelector("button")?.addEventListener("click", () => {
    // numbers start with the largest, words with the first; a second click turns the order
    const before = head.getAttribute("aria-sort");
    const words = head.classList.contains("text") || head.classList.contains("code");
    const up = before ? before === "descending" : words;
    heads.forEach(h => h.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[i].dataset.v;
    const rows = [...body.rows].sort((a, b) => {
      const x = key(a), y = key(b);
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      const numeric = x.trim() !== "" && y.trim() !== "" && !isNaN(x) && !isNaN(y);
      const order = numeric ? x - y : x.localeCompare(y, undefined, { numeric: true });
      return up ? order : -order;
    });
    body.append(...rows);
  }));
}
