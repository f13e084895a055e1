// Sorts every table of a page by its headings, filters it and copies its visible rows. Without scripts the tables
// stay as they are.
const toolsOf = (() => {
  const FEW = 6; // rows that need no filter
  const inside = (cell, part) => cell.querySelector(part)?.textContent.trim() ?? "";

  // the cell for formats.js, from the cell of the page
  function cellOf(cell) {
    const main = cell.cloneNode(true), small = inside(cell, "small"), mark = inside(cell, ".mark");
    main.querySelectorAll("small, .mark, .sign, .ours, .how, svg").forEach(part => part.remove());
    const said = main.textContent.trim().replace(/ \/$/, ""), signed = /^(.*\d) ([▲▼=◐])$/.exec(said);
    const ends = /^([+−-]?[\d.∞]+)(?:–| to )([+−-]?[\d.∞]+)$/.exec(small), spread = /^± (.+)$/.exec(small);
    return {
      text: (signed ? signed[1] : said) + (mark && ` (${mark})`), low: ends?.[1] ?? "", high: ends?.[2] ?? "", spread: spread?.[1] ?? "",
      note: ends || spread ? "" : small, ours: inside(cell, ".ours"), sign: signed?.[2] ?? inside(cell, ".sign"),
      status: signed?.[2] ?? (cell.querySelector(".sign") ? cell.dataset.status ?? "" : ""), best: cell.classList.contains("best") };
  }
  function read(table, title) {
    const heads = [...table.tHead.rows[0].cells], note = table.closest(".wrap")?.nextElementSibling;
    const cells = [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => [...row.cells].map(cellOf));
    const kept = [...heads.keys()].filter(i => !heads[i].classList.contains("plot") && (heads[i].textContent.trim() || cells.some(row => row[i].text)));
    const isNumber = i => [...table.tBodies[0].rows].some(row => row.cells[i].classList.contains("number"));
    return { title: [title, table.caption?.textContent].filter(Boolean).join(", "), note: note?.matches(".note:not(.told)") ? note.textContent.trim() : "", rows: cells.map(row => kept.map(i => row[i])),
      columns: kept.map(i => ({ name: heads[i].textContent.trim(), number: isNumber(i) })) };
  }

  async function copy(text, tools) {
    tools.querySelector("textarea")?.remove();
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed here */ }
    const area = make("textarea", { rows: 4, "aria-label": "the table, to be copied by hand" }, text);
    tools.append(area);
    area.select();
    if (!document.execCommand("copy")) return false;
    area.remove();
    return true;
  }

  // numbers start with the largest, words with the first; a second click reverses the order, a third restores it
  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0], first = [...body.rows];
    heads.forEach((head, i) => {
      const words = head.classList.contains("text") || head.classList.contains("code");
      const sort = () => {
        const orders = words ? ["ascending", "descending"] : ["descending", "ascending"];
        const order = orders[orders.indexOf(head.getAttribute("aria-sort")) + 1];
        heads.forEach(h => h.removeAttribute("aria-sort"));
        if (order) head.setAttribute("aria-sort", order);
        const key = row => row.cells[i].dataset.v;
        body.append(...!order ? first : [...first].sort((a, b) => {
          const x = key(a), y = key(b);
          if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
          const numeric = x.trim() !== "" && y.trim() !== "" && !isNaN(x) && !isNaN(y);
          const up = numeric ? x - y : x.localeCompare(y, undefined, { numeric: true });
          return order === "ascending" ? up : -up;
        }));
      };
      if (head.textContent.trim()) head.replaceChildren(make("button", { type: "button", onclick: sort }, head.textContent.trim()));
    });
  }

  // keyboards have no minus sign
  const typed = text => text.toLowerCase().replaceAll("−", "-");

  function filters(table, title, tell) {
    const rows = [...table.tBodies[0].rows], statuses = new Map();
    for (const row of rows) for (const status of new Set([...row.querySelectorAll("[data-status]")].map(cell => cell.dataset.status)))
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const text = make("input", { type: "search", placeholder: "filter rows", "aria-label": `filter the rows of: ${title}`, oninput: apply });
    const select = make("select", { "aria-label": `verdict in: ${title}`, onchange: apply }, make("option", { value: "" }, "all verdicts"),
      ...[...statuses].map(([status, n]) => make("option", { value: status }, `${status} (${n})`)));
    function apply() {
      const words = typed(text.value).split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const said = typed(row.textContent), has = [...row.querySelectorAll("[data-status]")].some(cell => cell.dataset.status === select.value);
        row.hidden = !(words.every(word => said.includes(word)) && (!select.value || has));
      }
      tell(`${rows.filter(row => !row.hidden).length} of ${rows.length} rows`);
    }
    return [text, ...statuses.size > 1 ? [select] : []];
  }

  // the tools of one table; for a table whose rows change, only those for copying
  return (table, title, changes = false) => {
    const told = make("span", { role: "status" }), tell = text => { told.textContent = text; };
    const tools = make("div", { class: "tools of-table" });
    const copied = kind => async () => {
      const grid = read(table, title), n = grid.rows.length;
      tell(await copy(formats[kind](grid), tools) ? `${n} row${n === 1 ? "" : "s"} copied as ${kind}` : "this browser does not let a page copy: the text is selected");
    };
    if (!changes) sortable(table);
    if (!changes && table.tBodies[0].rows.length >= FEW) tools.append(...filters(table, title, tell));
    tools.append(told, make("span", { role: "group", "aria-label": `copy: ${title}` }, "copy as ",
      ...Object.keys(formats).map(kind => make("button", { type: "button", onclick: copied(kind) }, kind))));
    return tools;
  };
})();
for (const table of document.querySelectorAll("table"))
  if (table.tHead) table.closest(".wrap").before(toolsOf(table, table.closest(".wrap").getAttribute("aria-label") ?? document.title));
